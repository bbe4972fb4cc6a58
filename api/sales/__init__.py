"""Sales, payments, receipts, issued tickets (R6, R12, R23, R29)."""
