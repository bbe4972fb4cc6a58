"""The append-only audit trail, a hash chain per device (R45)."""
