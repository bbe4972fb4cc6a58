"""Sidebar group Gates: who was admitted and who was not."""
