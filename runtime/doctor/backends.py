"""Whether every backend is reached by its own way, what it has, and how it is protected."""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from runtime.anon.address import AddressInvalid, HiddenAddress, required_series
from runtime.anon.client_keys import ClientKeyInvalid, read_client_key
from runtime.anon.state import read_state
from runtime.api import VeilrunError
from runtime.comfyui import BackendMisconfigured, Catalogue, ComfyClient, PathAway, UnexpectedAnswer
from runtime.comfyui.devices import device_name, is_sandbox
from runtime.doctor.clock import Reading
from runtime.doctor.deployment import Deployment
from runtime.doctor.lacks import Lack, command_keys, lacks_of
from runtime.doctor.line import Line, fault, ok, warning
from runtime.registry import BackendConfig, Registry
from runtime.scheduler.breakers import fitting_backends
from runtime.scheduler.health import Card, cards_of, doubt_of
from runtime.settings import Settings
from runtime.transport import Transport, open_transport

SECONDS = {"direct": 25.0, "anon": 90.0}
"""For everything about one backend, by its transport: a first circuit may take a minute."""

TRIES = 3
GATE_HEADER = "Veilrun-Gate"


@dataclass(frozen=True, slots=True)
class _Look:
    """What one backend said. catalogue: None if nothing is known of what it offers."""

    config: BackendConfig
    lines: list[Line]
    catalogue: Catalogue | None = None


async def check_backends(deployment: Deployment) -> list[Line]:
    """All backends at once, in the order of the registry; then which commands run nowhere."""
    looks = await asyncio.gather(*(_look(deployment, config) for config in deployment.backends))
    registry = deployment.registry
    if registry is None:
        return []
    lacking = {look.config.name: lacks_of(registry, look.config, look.catalogue) for look in looks if look.catalogue}
    runs = {key: _runs_on(registry, key, name, variant, lacking) for key, name, variant in command_keys(registry)}
    lines: list[Line] = []
    for look in looks:
        lines += look.lines
        for lack, keys in lacking.get(look.config.name, {}).items():
            says = warning if all(runs[key] for key in keys) else fault
            lines.append(says(_subject(look.config), f"{lack.text} (for {', '.join(keys)})", lack.cure))
    return [*lines, *command_lines(registry, runs, is_known=len(lacking) == len(looks))]


def _runs_on(
    registry: Registry, key: str, name: str, variant: str | None, lacking: Mapping[str, Mapping[Lack, tuple[str, ...]]]
) -> tuple[str, ...]:
    """The backends that have all that it needs, of those that were reached."""
    return tuple(
        backend
        for backend in fitting_backends(registry, name, variant)
        if backend in lacking and not any(key in keys for keys in lacking[backend].values())
    )


def command_lines(registry: Registry, runs: Mapping[str, tuple[str, ...]], *, is_known: bool) -> Iterator[Line]:
    """Where each command runs. is_known: every backend said what it has."""
    sound = []
    for key, name, variant in command_keys(registry):
        if runs[key]:
            sound.append(f"{key} on {', '.join(runs[key])}")
        elif registry.backends and not fitting_backends(registry, name, variant):
            affinity = registry.commands[name].command.affinity_of(variant)
            labels = f" and the labels {', '.join(sorted(affinity.labels))}" if affinity.labels else ""
            text = f"{key} runs nowhere: it needs {affinity.vram_gb:g} GB{labels}, and no backend of the registry fits"
            yield fault("commands", text, "add a backend that fits, correct `vram_gb`, `labels`, `pin`, or disable it")
        elif is_known and registry.backends:
            yield fault("commands", f"{key} runs nowhere now", "see what its backends lack, above")
    if sound:
        yield ok("commands", "; ".join(sound))


async def _look(deployment: Deployment, config: BackendConfig) -> _Look:
    lines = [*_address(deployment.settings, config), *_client_key(config)]
    if any(line.level == "fault" for line in lines):
        return _Look(config, lines)
    transport = open_transport(config.transport, anon_dir=deployment.settings.anon_dir)
    catalogue: Catalogue | None = None
    try:
        async with asyncio.timeout(SECONDS[config.transport]):
            client = ComfyClient(config.name, config.url, transport)
            lines += await _answer(config, client)
            headers = await _headers(deployment, config, transport)
            if config.transport == "anon":
                lines.append(_gate(config, headers))
            catalogue = Catalogue.parse(await client.object_info())
    except TimeoutError:
        lines.append(_away(config, f"no answer within {SECONDS[config.transport]:g} s"))
    except PathAway as error:
        lines.append(warning(_subject(config), f"not reached: {error.message}", "start anon, then look again"))
    except BackendMisconfigured as error:
        lines.append(fault(_subject(config), error.message, "correct it in the registry file"))
    except UnexpectedAnswer as error:
        cure = "look whether `url` leads to ComfyUI itself, and not to another program or a proxy's sign-in page"
        lines.append(fault(_subject(config), f"something answers, but not as ComfyUI does: {error.message}", cure))
    except VeilrunError as error:
        lines.append(_away(config, str(error).removeprefix(f"{config.name}: ")))
    finally:
        await transport.close()
    return _Look(config, lines, catalogue)


async def _answer(config: BackendConfig, client: ComfyClient) -> list[Line]:
    """Raises: BackendError."""
    stats = await client.system_stats()
    taken = []
    for _ in range(TRIES):
        started = time.monotonic()
        await client.prompt_info()
        taken.append(time.monotonic() - started)
    milliseconds = sorted(taken)[TRIES // 2] * 1000
    cards = cards_of(stats)
    devices = ", ".join(f"{_device(card)} with {card.vram_gb:g} GB" for card in cards) or "no device told"
    text = f"ComfyUI {stats.comfyui_version or '?'}, {devices}, round trip {milliseconds:.0f} ms"
    lines = [ok(_subject(config), text)]
    doubt = doubt_of(config, cards)
    if doubt is not None:
        cure = "correct `vram_gb` in the registry file: jobs are placed there that do not fit"
        lines.append(warning(_subject(config), doubt, cure))
    if config.transport == "anon" and _listens_everywhere(stats.argv):
        text = "ComfyUI listens on every address of its machine: whoever reaches one needs no key and no gate"
        lines.append(warning(_subject(config), text, "start it there with --listen 127.0.0.1"))
    return lines


def _device(card: Card) -> str:
    return f"{device_name(card.name)}{' (sandbox)' if is_sandbox(card.name) else ''}"


def _listens_everywhere(argv: Sequence[str]) -> bool:
    """`--listen` alone means every address (comfy/cli_args.py)."""
    if "--listen" not in argv:
        return any(word in ("--listen=0.0.0.0", "--listen=::") for word in argv)
    following = argv[argv.index("--listen") + 1 :][:1]
    return not following or following[0].startswith("-") or bool({"0.0.0.0", "::"} & set(following[0].split(",")))


async def _headers(deployment: Deployment, config: BackendConfig, transport: Transport) -> Mapping[str, str]:
    """Of one small answer; what its Date says of our clock is kept. Raises: BackendError."""
    asked_at = time.time()
    async with transport.request("GET", f"{config.url}/prompt") as reply:
        reading = Reading.of_date(config.name, reply.headers.get("Date", ""), asked_at, time.time())
        if reading is not None:
            deployment.clocks.append(reading)
        return reply.headers


def _gate(config: BackendConfig, headers: Mapping[str, str]) -> Line:
    if GATE_HEADER in headers:
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
