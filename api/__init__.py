"""The HTTP API and what it stands on."""
