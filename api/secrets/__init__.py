"""Versioned keys of a tenant, encrypted at rest (R21, 001 §11)."""
