"""The park's names and its time: turns ids and UTC moments into what people read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self
from zoneinfo import ZoneInfo

from playpark.clock import park_zone
from playpark.contracts.catalog import ZoneView
from playpark.contracts.tenancy import DeviceView, StoreView


@dataclass(frozen=True, slots=True)
class Park:
    """What is known of the store. An unknown id reads as its end: `…7QK2M9`."""

    name: str
    zone: ZoneInfo
    devices: Mapping[str, str] = field(default_factory=dict)
    zones: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, store: StoreView | None) -> Self:
        if store is None:
            return cls("", park_zone(None))
        return cls(store.name, park_zone(store.tz))

    def with_devices(self, devices: Iterable[DeviceView]) -> "Park":
        return replace(self, devices={device.device_id: device.name for device in devices})

    def with_zones(self, zones: Iterable[ZoneView]) -> "Park":
        return replace(self, zones={zone.zone_id: zone.name for zone in zones})

    def device(self, device_id: str) -> str:
        return self.devices.get(device_id, _short(device_id))

    def zone_name(self, zone_id: str | None) -> str:
        return self.zones.get(zone_id, _short(zone_id)) if zone_id else "whole park"

    def local(self, moment: datetime) -> datetime:
        """`moment` in park time (R30)."""
        return moment.astimezone(self.zone)

    def time(self, moment: datetime | None) -> str:
        """`21 Nov 15:42`, or a dash."""
        return f"{self.local(moment):%d %b %H:%M}" if moment else "–"


def _short(identifier: str) -> str:
    return f"…{identifier[-6:]}"
