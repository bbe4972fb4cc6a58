"""Reports over all domains; the first is the reconciliation of a day (R49)."""
