"""The screens that all three programs share: theme, status bar, login, pairing, dialogs.

The only room of the shared package that imports Textual (DESIGN: who may import whom).
"""

from playpark.tui.app import ParkApp, Status
from playpark.tui.approval import ApprovalDialog
from playpark.tui.choose import Ask, Choose, Rows
from playpark.tui.dialog import Confirm, Dialog
from playpark.tui.field import Field
from playpark.tui.form import Form
from playpark.tui.login import LoginScreen
from playpark.tui.pairing import PairingDetails, PairingScreen
from playpark.tui.status_bar import StatusBar, connection_text
from playpark.tui.text import fit, keys_text, safe
from playpark.tui.theme import PARK_THEME

__all__ = [
    "PARK_THEME",
    "ApprovalDialog",
    "Ask",
    "Choose",
    "Confirm",
    "Dialog",
    "Field",
    "Form",
    "LoginScreen",
    "PairingDetails",
    "PairingScreen",
    "ParkApp",
    "Rows",
    "Status",
    "StatusBar",
    "connection_text",
    "fit",
    "keys_text",
    "safe",
]
