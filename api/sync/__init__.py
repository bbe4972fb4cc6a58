"""Batches of operations from tills and gates (R14, R35)."""
