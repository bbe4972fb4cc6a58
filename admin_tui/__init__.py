"""The back office: what supervisors and owners see of their park. Reads through the API alone."""
