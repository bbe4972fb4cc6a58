"""Outages on purpose: a line that fails as told, and scenarios with a verdict each."""
