"""Shifts, which are the drawer sessions too (R26–R28)."""
