"""Stores, site keys and devices, and how a park is opened (R40, R44)."""
