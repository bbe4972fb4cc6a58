"""Receipts and tickets on paper: a document becomes ESC/POS bytes, a PNG preview or text.

Nothing here knows Textual, the web or a database; a worker thread may call all of it.
"""
