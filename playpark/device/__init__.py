"""What a till or a gate keeps on disk, and how it reaches the server (R14, R29, R34, R37).

`DeviceStore` is the disk, `SyncEngine` the way out, `Heart` tells how the device is, `pairing` is
how it gets its identity.
"""

from playpark.device.heart import Heart
from playpark.device.pairing import login, pair
from playpark.device.papers import PaperClaims
from playpark.device.records import (
    Allocator,
    ClockNote,
    Identity,
    OpState,
    PrintState,
    RecentEmployee,
    StoredOp,
    Unsynced,
)
from playpark.device.safe import find_safe
from playpark.device.store import DeviceStore
from playpark.device.sync import DrainReport, LineMode, Progress, SyncEngine, SyncState
from playpark.device.till_key import OfflineTickets

__all__ = [
    "Allocator",
    "ClockNote",
    "DeviceStore",
    "DrainReport",
    "Heart",
    "Identity",
    "LineMode",
    "OfflineTickets",
    "OpState",
    "PaperClaims",
    "PrintState",
    "Progress",
    "RecentEmployee",
    "StoredOp",
    "SyncEngine",
    "SyncState",
    "Unsynced",
    "find_safe",
    "login",
    "pair",
]
