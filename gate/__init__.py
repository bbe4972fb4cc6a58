"""The gate: frames from a camera or a file, QR codes out of them, PASS or FAIL in big letters."""
