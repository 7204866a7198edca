"""`veilrun anon status`: how this machine's anon is, its circuits, and what the way to each backend costs."""

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any

import typer

from runtime.anon.binary import find_binary
from runtime.anon.circuits import Circuit, circuits
from runtime.anon.errors import AnonError
from runtime.anon.sdk import connected
from runtime.anon.state import AnonState, read_state
from runtime.api import VeilrunError
from runtime.cli.output import AsJson, print_error, print_json, print_table, screen
from runtime.registry import BackendConfig, load_registry
from runtime.scheduler.fleet import Backend
from runtime.settings import Settings, read_settings

TRIES = 3


@dataclass(frozen=True, slots=True)
class Cost:
    """The way to one backend, in seconds: the first answer, which may build circuits, and the median of later ones."""

    backend: str
    first_seconds: float | None = None
    round_trip_seconds: float | None = None
    error: str | None = None


def status(as_json: AsJson = False) -> None:
    """Show how anon and its circuits do.

    Bootstrap, circuits with countries, bytes, and the round trip to each hidden backend. Exit status 1 if anon is not
    usable.
    """
    settings = read_settings()
    state = read_state(settings.anon_dir)
    if state is None:
        if as_json:
            print_json({"running": False})
        else:
            print_error("anon does not run on this machine; `veilrun up` or `veilrun anon run` starts it")
        raise typer.Exit(1)
    backends = [backend for backend in load_registry(settings.registry).backends if backend.transport == "anon"]
    found, costs, problem = asyncio.run(_look(settings, state, backends))
    if as_json:
        print_json({"running": True, **_plain(state, found, costs), "problem": problem})
    else:
        _show(state, found, costs, problem)
    raise typer.Exit(0 if state.is_ready and problem is None else 1)


async def _look(
    settings: Settings, state: AnonState, backends: list[BackendConfig]
) -> tuple[list[Circuit], list[Cost], str | None]:
    costs = await asyncio.gather(*(_cost(settings, backend) for backend in backends))
    try:
        async with connected(find_binary(settings), state.control, settings.anon_cookie) as control:
            return await circuits(control), costs, None
    except AnonError as error:
        return [], costs, str(error)


async def _cost(settings: Settings, config: BackendConfig) -> Cost:
    backend = Backend(config, settings.anon_dir)
    taken = []
    try:
        for _ in range(TRIES + 1):
            started = time.monotonic()
            await backend.client.prompt_info()
            taken.append(time.monotonic() - started)
    except VeilrunError as error:
        return Cost(config.name, error=str(error))
    finally:
        await backend.close()
    return Cost(config.name, taken[0], sorted(taken[1:])[TRIES // 2])


def _plain(state: AnonState, found: list[Circuit], costs: list[Cost]) -> dict[str, Any]:
    return {
        **asdict(state),
        "circuits": [asdict(circuit) for circuit in found],
        "backends": [asdict(cost) for cost in costs],
    }


def _show(state: AnonState, found: list[Circuit], costs: list[Cost], problem: str | None) -> None:
    screen.print(f"anon {state.version}: {state.bootstrap_percent} %, {state.phase}")
    screen.print(f"read {_megabytes(state.bytes_read)}, written {_megabytes(state.bytes_written)}")
    if problem is not None:
        print_error(problem)
    rows = [
        [cost.backend, _seconds(cost.first_seconds), _seconds(cost.round_trip_seconds), cost.error or ""]
        for cost in costs
    ]
    print_table("hidden backends in the registry", ["backend", "first answer", "round trip", ""], rows)
    print_table(
        "circuits",
        ["circuit", "state", "for", "relays"],
        [[circuit.id, circuit.state.lower(), _purpose(circuit), _path(circuit)] for circuit in found],
    )


def _purpose(circuit: Circuit) -> str:
    return "a backend" if circuit.carries_traffic else circuit.purpose.lower()


def _path(circuit: Circuit) -> str:
    return " → ".join(f"{hop.nickname or hop.fingerprint[:8]} ({hop.country})" for hop in circuit.path)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
