"""Devices: the tills, gates, kiosks and back offices of the store (R40, R43)."""

from admin_tui.listing import Column, Detail, ListPage, Section
from admin_tui.office import Office
from playpark.contracts.tenancy import DeviceStatus, DeviceType, DeviceView
from playpark.tui.theme import BAD, GOOD, MUTED, WARN

_KIND = {
    DeviceType.POS: "till",
    DeviceType.GATE: "gate",
    DeviceType.KIOSK: "kiosk",
    DeviceType.ADMIN: "back office",
}
_COLOUR = {
    DeviceStatus.ACTIVE: GOOD,
    DeviceStatus.PENDING: WARN,
    DeviceStatus.SUSPENDED: BAD,
    DeviceStatus.REVOKED: MUTED,
}


def _may(device: DeviceView) -> str:
    caps = {"sell": device.caps.can_sell, "redeem": device.caps.can_redeem}
    return ", ".join(name for name, allowed in caps.items() if allowed) or "neither"


async def _detail(office: Office, device: DeviceView) -> Detail:
    rows = (
        ("Kind", _KIND[device.type]),
        ("Code on receipts", device.device_code),
        ("Number", str(device.device_number)),
        ("State", device.status.value),
        ("Sell or redeem", _may(device)),
        ("Kiosk mode", "on" if device.caps.kiosk_mode else "off"),
        ("Last login", office.park.time(device.last_login_at)),
        ("Id", device.device_id),
    )
    return Detail(f"Device {device.name}", (Section("", rows),))


DEVICES = ListPage(
    name="devices",
    title="Devices",
    group="House",
    path="/devices",
    model=DeviceView,
    columns=(
        Column("Name", 12, lambda device, _: device.name, grows=True),
        Column("Code", 6, lambda device, _: device.device_code),
        Column("Kind", 11, lambda device, _: _KIND[device.type]),
        Column(
            "State",
            9,
            lambda device, _: device.status.value,
            lambda device: _COLOUR[device.status],
        ),
        Column("May", 14, lambda device, _: _may(device), wide=True),
        Column(
            "Last login",
            12,
            lambda device, park: park.time(device.last_login_at),
            lambda _: MUTED,
        ),
    ),
    detail=_detail,
    empty="No devices yet. Start a till or a gate and pair it with this store's site key.",
    readers="people who may manage devices",
)
