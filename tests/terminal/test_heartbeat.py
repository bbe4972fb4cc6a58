"""R36, R44, R46: the register tells how it is, whoever is logged in, and hears of newer prices."""

from playpark.contracts.gate import CertificateIn
from playpark.contracts.provider import PartState
from playpark.device.safe import SECRET_VARIABLE
from playpark.printing.transport import PrinterTarget, TargetKind
from terminal.printer import PaperPrinter
from terminal.till import Till
from tests.terminal.conftest import until
from tests.terminal.test_register_screen import running


async def test_it_beats_while_nobody_is_logged_in(desk):
    app = desk.app()
    async with app.run_test() as pilot:
        await until(lambda: desk.park.beats)
        assert app.till.employee is None
        assert desk.park.beats[0]["printer"] == "ok"
        await pilot.pause()


async def test_R46_newer_prices_come_with_a_heartbeat(desk):
    async with running(desk) as pilot:
        app = pilot.app
        newer = desk.park.catalog.model_copy(update={"catalog_version": 8})
        desk.park.catalog = newer
        answer = await app.till.heart(app._hear).beat()
        assert answer.catalog_version == 8
        await until(lambda: app.till.counter.catalog.catalog_version == 8)


async def test_a_server_that_refuses_heartbeats_disturbs_nothing(desk, monkeypatch):
    def refused(_request):
        return {"error": {"code": "E_DEVICE_SUSPENDED", "message": "This device is suspended."}}

    monkeypatch.setattr(desk.park, "_provider_heartbeats", refused)
    async with running(desk) as pilot:
        assert pilot.app.till.notice.text == ""
        assert "suspended" not in str(pilot.app.till.engine.state)


async def test_R22_the_certificate_for_offline_tickets_is_renewed_with_a_heartbeat(
    desk, monkeypatch
):
    asked = []

    def certify(request):
        asked.append(CertificateIn.model_validate_json(request.content))
        return {"error": {"code": "E_PERMISSION", "message": "Not for this till."}}

    monkeypatch.setenv(SECRET_VARIABLE, "a secret of this till's environment")
    monkeypatch.setattr(desk.park, "_devices_me_certificate", certify, raising=False)
    async with running(desk) as pilot:
        till = pilot.app.till
        await till.heart(pilot.app._hear).beat()
        await until(lambda: asked)
        assert asked[0].public_key == till.offline_tickets.public_key()
        # It is refused, which disturbs nobody, and not asked again at once.
        await till.renew_certificate()
        assert len(asked) == 1
        assert till.notice.text == ""


async def test_the_printer_s_state_is_told(desk):
    till = desk.till()
    assert till.papers.printer_part is PartState.OK
    till.papers.error = "no paper"
    assert till.papers.printer_part is PartState.FAILED
    none = PaperPrinter(PrinterTarget(TargetKind.NONE), desk.store)
    without = Till(desk.store, desk.park.client(), desk.clock, none)
    assert without.papers.printer_part is PartState.NONE
    await till.close()
    await without.close()
