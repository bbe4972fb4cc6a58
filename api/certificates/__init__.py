"""The server's word on tills' keys, which bounds what a till may issue by itself (R22)."""
