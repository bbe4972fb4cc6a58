"""Request and response models, one file a domain (API.md).

The server validates with them and the client returns them, so both sides read one text.
"""
