"""What the dashboard and the lists share: they read, they fail visibly, they try again."""

from typing import Any, ClassVar

from rich.text import Text
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from admin_tui.office import LOGIN_OVER, Office
from playpark.errors import ErrorCode, PlayParkError
from playpark.tui.text import safe
from playpark.tui.theme import MUTED, WARN


class Pane(Vertical):
    """A part of the screen that shows answers of the server. `failed` while it lacks one."""

    NOTICE: ClassVar[str] = "notice"

    class Changed(Message):
        """Other keys may work now."""

    class LoginOver(Message):
        """The server has ended the login; `sentence` says why."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, office: Office, **more: Any) -> None:
        super().__init__(**more)
        self.office = office
        self.failed = False

    def refresh_rows(self) -> None:
        """Read again what is shown."""
        raise NotImplementedError

    def take_focus(self) -> None:
        """Put the focus where the keys of this pane work."""
        raise NotImplementedError

    def notice(self, sentence: str = "", *, warn: bool = False) -> None:
        """The line between heading and content; empty makes it go away."""
        line = self.query_one(f"#{self.NOTICE}", Static)
        line.update(Text(safe(sentence), style=WARN if warn else MUTED))
        line.display = bool(sentence)

    def refused(self, refusal: PlayParkError, *, has_content: bool) -> str:
        """Note a refusal; the sentence to show for it."""
        self.failed = refusal.code is ErrorCode.UNAVAILABLE
        if refusal.code in LOGIN_OVER:
            self.post_message(self.LoginOver(refusal.message))
        if not self.failed:
            return refusal.message
        stands = " What stands here is from before." if has_content else ""
        return f"{refusal.message}{stands} Tried again by itself; r tries now."
