"""Customers and the ledger of their loyalty points."""
