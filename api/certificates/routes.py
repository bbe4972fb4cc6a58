"""HTTP of certificates: a till asks for its own."""

from api.certificates import service
from api.platform.envelope import ok
from api.platform.http import private_router
from api.platform.permissions import needs
from api.platform.services import App, Caller
from playpark.contracts.base import Envelope
from playpark.contracts.gate import CertificateIn, CertificateView

private = private_router("certificates")


@private.post("/devices/me/certificate", dependencies=needs(device=True))
async def renew_certificate(
    platform: App, scope: Caller, body: CertificateIn
) -> Envelope[CertificateView]:
    """What the calling till may sign while it is offline. For tills that may sell offline; without
    `public_key` it is the key that was registered. Ask as often as you like: the same certificate
    comes back while it has more than half of its time before it."""
    return ok(await service.issue(platform, scope, body))
