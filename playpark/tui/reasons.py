"""How a reason code is shown, and the words that some of them need (R42)."""

from playpark.contracts.approvals import ReasonCodeView
from playpark.errors import ErrorCode, PlayParkError


def reason_label(reason: ReasonCodeView) -> str:
    """In both languages, once where they are the same."""
    return " / ".join(dict.fromkeys((reason.label, reason.label_th)))


def reason_words(text: str) -> str:
    """What was typed. Raises E_VALIDATION for nothing."""
    if not text.strip():
        raise PlayParkError(ErrorCode.VALIDATION, "This reason needs a few words.")
    return text.strip()
