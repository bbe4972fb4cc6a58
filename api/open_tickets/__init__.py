"""Parked carts: put aside, priced anew when they come back (R13)."""
