"""A till that may print its own tickets: a park whose packages have ids that fit into a token, a
certificate, and a look at what was printed (R22)."""

from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from playpark.contracts.gate import CertificateView
from playpark.contracts.snapshot import CatalogSnapshot
from playpark.device import OfflineTickets, find_safe
from playpark.device.safe import SECRET_VARIABLE
from playpark.offline_tickets import sign_certificate
from tests.terminal.conftest import Desk
from tests.terminal.park import CATALOG, NOW, RICH

SECRET = "a secret of this till's environment"
SERVER = Ed25519PrivateKey.from_private_bytes(b"park" * 8)
IDS = {
    each.package_id: f"01HZZZZZZZZZZZZZZZZZZZZZZ{index}"
    for index, each in enumerate(CATALOG.packages)
}


def with_ulids(catalog: CatalogSnapshot) -> CatalogSnapshot:
    """The same catalogue with the ids of a real one."""
    text = catalog.model_dump_json()
    for slug, ulid in IDS.items():
        text = text.replace(f'"package_id":"{slug}"', f'"package_id":"{ulid}"')
        text = text.replace(f'["{slug}"]', f'["{ulid}"]')
    return CatalogSnapshot.model_validate_json(text)


PLAIN, FULL = with_ulids(CATALOG), with_ulids(RICH)


def certify(desk: Desk, monkeypatch: Any, **bounds: Any) -> CertificateView:
    """Give this desk's till a key and a certificate; `bounds` are other than usual."""
    monkeypatch.setenv(SECRET_VARIABLE, SECRET)
    public_key = OfflineTickets(desk.store, find_safe()).public_key()
    assert public_key is not None
    usual = {
        "key_id": "ABCDEFGH",
        "public_key": public_key,
        "device_id": "dev1",
        "store_id": "st1",
        "packages": list(IDS.values()),
        "not_before": NOW - timedelta(hours=1),
        "not_after": NOW + timedelta(hours=71),
        "max_tickets": 5000,
        "max_valid_to": NOW + timedelta(days=400),
        "signature": "",
    }
    view = sign_certificate(SERVER, CertificateView.model_validate(usual | bounds))
    desk.store.signing.save_certificate(view)
    return view
