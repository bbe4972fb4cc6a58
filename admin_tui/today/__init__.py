"""Sidebar group Today: the figures of this business day."""
