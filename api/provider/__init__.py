"""The operator of many tenants: tenants, heartbeats, alerts, usage (R44)."""
