"""Settings: defaults, overridden by the tenant, overridden by the store (R46)."""
