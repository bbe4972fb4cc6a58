"""What can go wrong with the embedded MongoDB, said so that the person knows what to do next."""


class EmbeddedMongoError(Exception):
    """The embedded MongoDB cannot be had; the message is one sentence for the operator."""


class MongodExitedError(EmbeddedMongoError):
    """`mongod` ended before it was ready; `code` is its exit status (128 + n for signal n)."""

    def __init__(self, message: str, code: int) -> None:
        """Keep the exit status beside the sentence."""
        super().__init__(message)
        self.code = code
