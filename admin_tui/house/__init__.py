"""Sidebar group House: the store's devices."""
