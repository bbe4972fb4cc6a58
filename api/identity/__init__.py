"""Tenants, stores, devices, employees and their logins (R40–R44)."""
