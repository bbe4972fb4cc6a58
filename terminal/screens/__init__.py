"""The register's screens and dialogs."""
