"""Approvals by a supervisor's PIN, and the reasons to choose from (R42)."""
