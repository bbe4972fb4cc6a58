"""The back office's own screen; login and pairing are playpark.tui's."""
