"""Receipt numbers: gapless by device and series, with a ledger row for each (R29)."""
