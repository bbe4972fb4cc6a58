"""Timecards: clocking in and out, breaks, hours."""
