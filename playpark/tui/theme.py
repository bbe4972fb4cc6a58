"""One look for every program: dark and calm, one accent, green and red for what they mean
(SCREENS: green is money in and admitted, red is refused)."""

from textual.theme import Theme

ACCENT = "#6cb6ff"
GOOD = "#4cc38a"
BAD = "#ff7a70"
WARN = "#e5c07b"
MUTED = "#8b98a5"
BRIGHT = "#f0f4f8"

PARK_THEME = Theme(
    name="playpark",
    primary=ACCENT,
    secondary="#3d5a73",
    accent=ACCENT,
    foreground="#d5dde5",
    background="#0f1419",
    surface="#161c23",
    panel="#1d252e",
    success=GOOD,
    warning=WARN,
    error=BAD,
    dark=True,
    variables={
        "border": "#2f3b47",
        "border-blurred": "#2f3b47",
        "footer-background": "#0f1419",
        "input-selection-background": "#3d5a73",
        "block-cursor-background": "#24405a",
        "block-cursor-foreground": BRIGHT,
        "block-cursor-text-style": "bold",
    },
)
