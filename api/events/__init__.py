"""Domain events, written to an outbox in the effect's transaction (R47)."""
