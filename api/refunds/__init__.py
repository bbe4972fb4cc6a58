"""Giving back: refunds, voids, reprints (R31, R32, R42)."""
