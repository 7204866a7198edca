"""Running templates on backends, one after the other, by the client that jobs run by."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from runtime.api import VeilrunError
from runtime.bench.case import Case
from runtime.bench.record import Kind, Machine, Measurement, PathCost, Record, Run
from runtime.comfyui import BackendError
from runtime.comfyui.devices import device_name, is_sandbox
from runtime.registry import BackendConfig, Registry
from runtime.scheduler.fleet import Backend
from runtime.scheduler.health import cards_of
from runtime.transport import NOWHERE
from runtime.worker.local import run_there

UNLOAD_SECONDS = 0.5
"""POST /free only sets a flag; a prompt that comes before the server has acted on it would go first."""

OnRun = Callable[[str, str, Kind, int], None]
"""Told of each run as it begins: backend, template, what it is for, its number among those."""


class Notebook:
    """What is known so far: kept whatever ends the measuring."""

    def __init__(self) -> None:
        self._made_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._machines: list[Machine] = []
        self._measurements: list[Measurement] = []
        self._paths: list[PathCost] = []
        self.is_complete = False

    def machine(self, machine: Machine) -> None:
        """A backend that is about to be measured."""
        self._machines.append(machine)

    def begin(self, measurement: Measurement) -> None:
        """A template that is about to be measured on the last machine."""
        self._measurements.append(measurement)

    def add(self, run: Run) -> None:
        """A run of the template that was begun last."""
        last = self._measurements[-1]
        self._measurements[-1] = replace(last, runs=(*last.runs, run))

    def failed(self, failure: str) -> None:
        """Why there are no more runs of it."""
        self._measurements[-1] = replace(self._measurements[-1], failure=failure)

    def paths(self, costs: Sequence[PathCost]) -> None:
        """What the ways cost."""
        self._paths = list(costs)

    @property
    def record(self) -> Record:
        """All of it as a value."""
        return Record(
            self._made_at,
            version("veilrun"),
            tuple(self._machines),
            tuple(self._measurements),
            tuple(self._paths),
            self.is_complete,
        )


async def measure(
    registry: Registry,
    cases: Sequence[Case],
    backends: Sequence[BackendConfig],
    notebook: Notebook,
    *,
    runs: int,
    warm_up: int = 1,
    unloads: bool = True,
    anon_dir: Path = NOWHERE,
    on_run: OnRun | None = None,
) -> None:
    """Every case on every backend: `warm_up` runs that do not count, then `runs` that do, each with a fresh seed.

    unloads: the server lets go of its weights before each case, so that the first warm-up shows what loading costs;
    without a warm-up it does not.
    What fails is noted, and the others go on. Cancelling stops what runs on the backend; the notebook keeps the rest.
    """
    unloads = unloads and warm_up > 0
    for config in backends:
        backend = Backend(config, anon_dir)
        try:
            reason = await _introduced(backend, notebook)
            for case in cases:
                notebook.begin(Measurement(case.template, config.name, case.options, was_unloaded=unloads))
                if reason or (unfit := case.unfit(config)):
                    notebook.failed(reason or unfit or "")
                    continue
                try:
                    await _measure_case(
                        registry, case, backend, notebook, runs=runs, warm_up=warm_up, unloads=unloads, on_run=on_run
                    )
                except VeilrunError as error:
                    notebook.failed(_words(error))
        finally:
            await backend.close()
    notebook.is_complete = True


async def _introduced(backend: Backend, notebook: Notebook) -> str | None:
    """Note the machine. Why nothing can be measured on it, or None."""
    config = backend.config
    try:
        notebook.machine(await _machine(backend))
    except VeilrunError as error:
        notebook.machine(Machine(config.name, config.device, config.vram_gb, transport=config.transport))
        return _words(error)
    return None


async def _machine(backend: Backend) -> Machine:
    """Raises: BackendError."""
    config = backend.config
    stats = await backend.client.system_stats()
    cards = cards_of(stats)
    largest = max(cards, key=lambda card: card.vram_gb, default=None)
    device = config.device or (device_name(largest.name) if largest else "")
    if largest and is_sandbox(largest.name) and "sandbox" not in device:
        device += ", sandbox"  # its seconds say nothing of any card
    return Machine(
        config.name,
        device,
        largest.vram_gb if largest else config.vram_gb,
        stats.comfyui_version,
        stats.pytorch_version,
        config.transport,
    )


async def _measure_case(
    registry: Registry,
    case: Case,
    backend: Backend,
    notebook: Notebook,
    *,
    runs: int,
    warm_up: int,
    unloads: bool,
    on_run: OnRun | None,
) -> None:
    """Raises: VeilrunError."""
    pictures = await asyncio.to_thread(case.pictures)
    await backend.warm()  # circuits and the event socket are open before anything is timed
    if unloads:
        await backend.client.free(unload_models=True)
        await asyncio.sleep(UNLOAD_SECONDS)
    order: list[tuple[Kind, int]] = [
        *(("warm-up", number) for number in range(1, warm_up + 1)),
        *(("measured", number) for number in range(1, runs + 1)),
    ]
    for kind, number in order:
        if on_run is not None:
            on_run(backend.name, case.template, kind, number)
        notebook.add(await _run(registry, case, backend, pictures, kind))


async def _run(registry: Registry, case: Case, backend: Backend, pictures: Sequence[bytes], kind: Kind) -> Run:
    """Raises: VeilrunError."""
    arguments = case.fresh()
    was_alone = await backend.client.prompt_info() == 0
    started = time.perf_counter()
    collected = await run_there(backend, registry, case.loaded, arguments, variant=case.variant, images=pictures)
    seed = arguments.get("seed")
    return Run(
        kind,
        time.perf_counter() - started,
        collected.run_seconds,
        collected.load_seconds,
        seed if isinstance(seed, int) else None,
        collected.is_telling or collected.run_seconds is None,
        was_alone,
    )


def _words(error: VeilrunError) -> str:
    return error.message if isinstance(error, BackendError) else str(error)
