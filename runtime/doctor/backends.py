"""Whether every backend is reached by its own way, and how it is protected."""

import asyncio
import time
from urllib.parse import urlsplit

from runtime.anon.address import AddressInvalid, HiddenAddress, required_series
from runtime.anon.client_keys import ClientKeyInvalid, read_client_key
from runtime.anon.state import read_state
from runtime.api import VeilrunError
from runtime.comfyui import BackendMisconfigured, ComfyClient, PathAway
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.registry import BackendConfig
from runtime.settings import Settings
from runtime.transport import Transport, open_transport

SECONDS = 90.0
"""For everything about one backend: a first circuit may take a minute."""

TRIES = 3
GATE_HEADER = "Veilrun-Gate"


async def check_backends(deployment: Deployment) -> list[Line]:
    """All backends at once, in the order of the registry."""
    asked = [_check(deployment.settings, config) for config in deployment.backends]
    return [line for lines in await asyncio.gather(*asked) for line in lines]


async def _check(settings: Settings, config: BackendConfig) -> list[Line]:
    lines = [*_address(settings, config), *_client_key(config)]
    if any(line.level == "fault" for line in lines):
        return lines
    transport = open_transport(config.transport, anon_dir=settings.anon_dir)
    try:
        async with asyncio.timeout(SECONDS):
            lines.append(await _answer(config, transport))
            if lines[-1].level == "ok" and config.transport == "anon":
                lines.append(await _gate(config, transport))
    except TimeoutError:
        lines.append(_away(config, f"no answer within {SECONDS:g} s"))
    except PathAway as error:
        lines.append(warning(_subject(config), f"not reached: {error.message}", "start anon, then look again"))
    except BackendMisconfigured as error:
        lines.append(fault(_subject(config), error.message, "correct it in the registry file"))
    except VeilrunError as error:
        lines.append(_away(config, str(error).removeprefix(f"{config.name}: ")))
    finally:
        await transport.close()
    return lines


async def _answer(config: BackendConfig, transport: Transport) -> Line:
    """Raises: BackendError."""
    client = ComfyClient(config.name, config.url, transport)
    stats = await client.system_stats()
    taken = []
    for _ in range(TRIES):
        started = time.monotonic()
        await client.prompt_info()
        taken.append(time.monotonic() - started)
    milliseconds = sorted(taken)[TRIES // 2] * 1000
    return ok(_subject(config), f"ComfyUI {stats.comfyui_version or '?'}, round trip {milliseconds:.0f} ms")


async def _gate(config: BackendConfig, transport: Transport) -> Line:
    async with transport.request("GET", f"{config.url}/prompt") as reply:
        if GATE_HEADER in reply.headers:
            return ok(_subject(config), "behind veilrun's gate")
    text = "no gate: whoever may connect reaches every route of ComfyUI, node managers included"
    return warning(
        _subject(config), text, "run `veilrun anon expose` on the GPU host in place of a bare hidden service"
    )


def _address(settings: Settings, config: BackendConfig) -> list[Line]:
    if config.transport != "anon":
        return []
    try:
        address = HiddenAddress.parse(urlsplit(config.url).hostname or "")
    except AddressInvalid as error:
        return [fault(_subject(config), f"its address: {error}", "copy it from `veilrun anon expose`")]
    state = read_state(settings.anon_dir)
    if state is not None and state.version and not address.suits(state.version):
        series = required_series(address.suffix)
        text = f"your daemon is {state.version}, this address needs {series}"
        return [fault(_subject(config), text, f"install anon {series}, or ask the GPU host for its other address")]
    return []


def _client_key(config: BackendConfig) -> list[Line]:
    if config.transport != "anon":
        return []
    if config.client_key_file is None:
        text = "no client key: whoever knows the address can connect"
        return [warning(_subject(config), text, "run `veilrun anon authorize` on the GPU host, set client_key_file")]
    try:
        read_client_key(config.client_key_file)
    except ClientKeyInvalid as error:
        return [
            fault(_subject(config), str(error), "put there what `veilrun anon authorize` printed, and chmod 600 it")
        ]
    return [ok(_subject(config), "client key there, open to this user only")]


def _away(config: BackendConfig, reason: str) -> Line:
    return fault(_subject(config), f"not reached: {reason}", "start ComfyUI, and look at the way to it")


def _subject(config: BackendConfig) -> str:
    return f"backend {config.name}"
