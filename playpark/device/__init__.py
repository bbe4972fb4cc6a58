"""What a till or a gate keeps on disk, and how it reaches the server (R14, R29, R34, R37).

`DeviceStore` is the disk, `SyncEngine` the way out, `Heart` tells how the device is, `pairing` is
how it gets its identity.
"""

from playpark.device.heart import Heart
from playpark.device.pairing import login, pair
from playpark.device.papers import PaperClaims
from playpark.device.records import (
    Allocator,
    Identity,
    OpState,
    PrintState,
    RecentEmployee,
    StoredOp,
)
from playpark.device.store import DeviceStore
from playpark.device.sync import DrainReport, LineMode, Progress, SyncEngine, SyncState
from playpark.device.till_key import OfflineTickets, find_safe

__all__ = [
    "Allocator",
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
    "find_safe",
    "login",
    "pair",
]
