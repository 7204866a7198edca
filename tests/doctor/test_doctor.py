"""What the doctor says about deployments that lack something."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.anon.address import HiddenAddress
from runtime.anon.state import AnonState, write_state
from runtime.doctor import diagnose
from runtime.leaks.socks import Answer, Refuse, Relay, ScriptedSocks
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.settings import Settings
from tests.doctor.deployments import described, lines

SERVICE = HiddenAddress.of(bytes(range(32)), ".anon")
NEWER_SERVICE = HiddenAddress.of(bytes(range(32)), ".anyone")
KEY = base64.b32encode(bytes(32)).decode().rstrip("=")


def hidden(address: HiddenAddress, more: str = "") -> str:
    return f'name: gpu, url: "http://{address}", transport: anon{more}'


@contextmanager
def keyed(folder: Path, mode: int = 0o600) -> Iterator[str]:
    file = folder / "gpu.key"
    file.write_text(KEY, encoding="ascii")
    file.chmod(mode)
    yield f", client_key_file: {file}"


@pytest.fixture
async def socks(settings: Settings) -> AsyncIterator[ScriptedSocks]:
    """In place of a daemon that has bootstrapped; it has no control port."""
    async with ScriptedSocks() as socks:
        settings.anon_dir.mkdir(parents=True)
        state = AnonState(("127.0.0.1", socks.port), ("127.0.0.1", 1), "0.4.9.11-live", 100, "Done")
        write_state(settings.anon_dir, state)
        yield socks


async def test_a_direct_backend_is_named_with_its_version_and_round_trip(settings: Settings, tmp_path: Path) -> None:
    async with SandboxComfyUI(pace=0) as comfyui:
        (line,) = await lines(described(settings, tmp_path, f'name: gpu, url: "{comfyui.url}"'), "backend gpu")

    assert line.level == "ok"
    assert line.text.startswith("ComfyUI 0.")
    assert "round trip" in line.text


async def test_something_else_in_the_place_of_comfyui_is_named_as_such(settings: Settings, tmp_path: Path) -> None:
    async def sign_in(_: web.Request) -> web.Response:
        return web.Response(text="<html>Sign in</html>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/{path:.*}", sign_in)
    async with TestServer(application) as server:
        url = str(server.make_url("/")).rstrip("/")
        (line,) = await lines(described(settings, tmp_path, f'name: gpu, url: "{url}"'), "backend gpu")

    assert line.level == "fault"
    assert line.text.startswith("something answers, but not as ComfyUI does: GET /system_stats answered HTTP 200")
    assert "sign-in page" in line.cure


async def test_a_backend_that_is_away_is_a_fault_with_a_cure(settings: Settings, tmp_path: Path) -> None:
    (line,) = await lines(described(settings, tmp_path, 'name: gpu, url: "http://127.0.0.1:1"'), "backend gpu")

    assert line.level == "fault"
    assert "start ComfyUI" in line.cure


async def test_a_hidden_backend_is_asked_through_the_proxy_and_missing_protection_is_told(
    settings: Settings, tmp_path: Path, socks: ScriptedSocks
) -> None:
    async with SandboxComfyUI(pace=0) as comfyui:
        socks.answer = Relay(int(comfyui.url.rpartition(":")[2]))
        found = await lines(described(settings, tmp_path, hidden(SERVICE)), "backend gpu")

    assert [line.level for line in found] == ["warning", "ok", "warning"]
    assert "no client key" in found[0].text
    assert "round trip" in found[1].text
    assert "no gate" in found[2].text
    assert set(socks.names) == {str(SERVICE)}


async def test_gate_and_client_key_are_recognised(settings: Settings, tmp_path: Path, socks: ScriptedSocks) -> None:
    async def gate(request: web.Request) -> web.Response:
        answer = {"exec_info": {"queue_remaining": 0}, "system": {"comfyui_version": "0.3.64"}, "devices": []}
        return web.json_response(answer, headers={"Veilrun-Gate": "1"})

    application = web.Application()
    application.router.add_get("/{path:.*}", gate)
    async with TestServer(application) as server:
        assert server.port is not None
        socks.answer = Relay(server.port)
        with keyed(tmp_path) as key:
            found = await lines(described(settings, tmp_path, hidden(SERVICE, key)), "backend gpu")

    assert {line.level for line in found} == {"ok"}
    assert "gate" in found[-1].text


async def test_a_client_key_open_to_others_is_a_fault_and_nothing_is_asked(
    settings: Settings, tmp_path: Path, socks: ScriptedSocks
) -> None:
    with keyed(tmp_path, 0o644) as key:
        (line,) = await lines(described(settings, tmp_path, hidden(SERVICE, key)), "backend gpu")

    assert line.level == "fault"
    assert "chmod 600" in line.text
    assert KEY not in line.text
    assert socks.requests == []


async def test_an_address_of_the_other_series_names_both(
    settings: Settings, tmp_path: Path, socks: ScriptedSocks
) -> None:
    with keyed(tmp_path) as key:
        line = (await lines(described(settings, tmp_path, hidden(NEWER_SERVICE, key)), "backend gpu"))[0]

    assert (line.level, line.text) == ("fault", "your daemon is 0.4.9.11-live, this address needs 0.4.10")
    assert socks.requests == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [(Refuse(0xF0), "offline"), (Refuse(0xF4), "client key"), (Refuse(0xF5), "client key"), (Refuse(0x05), "start")],
    ids=["offline", "no-key", "wrong-key", "nothing-behind"],
)
async def test_what_the_proxy_refuses_is_told_in_words(
    settings: Settings, tmp_path: Path, socks: ScriptedSocks, answer: Answer, said: str
) -> None:
    socks.answer = answer
    found = await lines(described(settings, tmp_path, hidden(SERVICE)), "backend gpu")

    assert found[-1].level == "fault"
    assert said in found[-1].text
    assert str(SERVICE) not in found[-1].text


async def test_a_hidden_backend_without_a_daemon_is_a_warning_since_nothing_is_wrong_with_it(
    settings: Settings, tmp_path: Path
) -> None:
    settings = described(settings, tmp_path, hidden(SERVICE))
    backend, anon = await lines(settings, "backend gpu"), await lines(settings, "anon")

    assert backend[-1].level == "warning"
    assert [line.level for line in anon] == ["ok", "ok", "warning"]
    assert "0.4.9.11-live, which reaches addresses in .anon" in anon[0].text
    assert "veilrun up" in anon[2].cure


async def test_a_state_that_a_killed_daemon_left_behind_is_not_believed(
    settings: Settings, tmp_path: Path, socks: ScriptedSocks
) -> None:
    found = await lines(described(settings, tmp_path, hidden(SERVICE)), "anon")

    assert found[-1].level == "fault"
    assert "control port" in found[-1].text


async def test_a_daemon_that_does_not_get_out_says_how_far_it_is(
    settings: Settings, tmp_path: Path, socks: ScriptedSocks
) -> None:
    state = AnonState(("127.0.0.1", socks.port), ("127.0.0.1", 1), "0.4.9.11-live", 45, "Loading relay descriptors")
    write_state(settings.anon_dir, state)
    found = await lines(described(settings, tmp_path, hidden(SERVICE)), "anon")

    assert "not connected: 45 %, Loading relay descriptors" in [line.text for line in found]


async def test_anon_that_may_not_start_or_is_not_there_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    settings = described(settings, tmp_path, hidden(SERVICE))
    refused = await lines(settings.model_copy(update={"anon_accept_terms": False}), "anon")
    missing = await lines(settings.model_copy(update={"anon_binary": tmp_path / "nowhere"}), "anon")

    assert "VEILRUN_ANON_ACCEPT_TERMS" in next(line.cure for line in refused if line.level == "fault")
    assert "veilrun anon install" in next(line.cure for line in missing if line.level == "fault")


async def test_a_deployment_without_hidden_backends_needs_no_anon(settings: Settings) -> None:
    (line,) = await lines(settings, "anon")

    assert line.level == "ok"
    assert "not needed" in line.text


async def test_each_problem_of_the_registry_is_a_line_and_the_other_checks_go_on(
    settings: Settings, tmp_path: Path
) -> None:
    settings = described(settings, tmp_path, "name: gpu, url: nowhere", "name: gpu-b, url: nowhere")
    found = [line async for line in diagnose(settings)]

    assert len([line for line in found if (line.level, line.subject) == ("fault", "registry")]) == 2
    assert "state folder" in {line.subject for line in found}
