"""Tickets and their redemption (R18–R25)."""
