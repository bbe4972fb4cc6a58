"""Packages, zones, taxes; immutable snapshots; price preview (R8–R13)."""
