"""Sidebar group Money: sales and shifts."""
