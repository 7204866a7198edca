"""What the way to a backend costs: round trips, from submitting a prompt to its first event, bytes up and down.

No model is loaded: the prompt reads a picture of noise that was uploaded and gives it back, which any ComfyUI can do.
"""

import asyncio
import io
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from PIL import Image

from runtime.api import Graph, VeilrunError
from runtime.bench.record import Part, PathCost
from runtime.bench.turns import Work, taking_turns
from runtime.comfyui import BackendError, Prompt, cancel, fetch, forget, run_prompt
from runtime.comfyui.events import Event
from runtime.registry import BackendConfig
from runtime.scheduler.fleet import Backend
from runtime.transport import NOWHERE

ROUND_TRIPS = 20
MEGABYTE = 1024 * 1024
FILE_MEGABYTES = 8.0
OUTPUT = "preview"
CANCEL_SECONDS = 5.0

ROUND_TRIP, FIRST_EVENT, UP, DOWN = "small request", "submit to first event", "upload", "download"


def noise_picture(megabytes: float) -> bytes:
    """A PNG of about so many MiB that no compression makes smaller, and that no cache has seen."""
    side = max(int((megabytes * MEGABYTE / 3) ** 0.5), 8)
    content = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(content, "PNG", compress_level=0)
    return content.getvalue()


def echo_graph(reference: str) -> Graph:
    """Reads the uploaded picture and writes it to the folder of temporary files."""
    return {
        "picture": {"class_type": "LoadImage", "inputs": {"image": reference}},
        OUTPUT: {"class_type": "PreviewImage", "inputs": {"images": ["picture", 0]}},
    }


@dataclass
class _Way:
    """One backend while it is measured."""

    backend: Backend
    megabytes: float
    trips: list[float] = field(default_factory=list)
    ups: list[float] = field(default_factory=list)
    events: list[float] = field(default_factory=list)
    downs: list[float] = field(default_factory=list)
    failure: str | None = None

    async def ask(self) -> None:
        """Raises: BackendError."""
        started = time.perf_counter()
        await self.backend.client.prompt_info()
        self.trips.append(time.perf_counter() - started)

    async def carry(self) -> None:
        """A picture up, a prompt with it, and back. Raises: BackendError."""
        client = self.backend.client
        content = await asyncio.to_thread(noise_picture, self.megabytes)
        started = time.perf_counter()
        upload = await client.upload_image(content, f"{uuid4()}.png", type="temp")
        self.ups.append(len(content) / MEGABYTE / (time.perf_counter() - started))
        prompt = Prompt(str(uuid4()), echo_graph(upload.reference), outputs=(OUTPUT,))
        heard: list[float] = []

        def hear(event: Event) -> None:
            if event.prompt_id == prompt.prompt_id:
                heard.append(time.perf_counter())

        started = time.perf_counter()
        try:
            history = await run_prompt(client, prompt, hub=self.backend.hub, on_event=hear)
            if heard:
                self.events.append(heard[0] - started)
            for file in history.files:
                started = time.perf_counter()
                output = await fetch(client, file, lanes=client.download_lanes)
                self.downs.append(len(output.content) / MEGABYTE / (time.perf_counter() - started))
        except asyncio.CancelledError:
            await cancel(client, prompt.prompt_id, patience_seconds=CANCEL_SECONDS)
            raise
        finally:
            await forget(client, (prompt.prompt_id,), are_over=True)


async def measure_paths(
    backends: Sequence[BackendConfig],
    keep: Callable[[Sequence[PathCost]], None],
    *,
    rounds: int,
    megabytes: float = FILE_MEGABYTES,
    anon_dir: Path = NOWHERE,
) -> None:
    """Measure the way to each backend, all taking turns. One that fails has its reason, and the others go on.

    keep: gets the costs at the end, also if that comes by cancelling.
    """
    ways = [_Way(Backend(config, anon_dir), megabytes) for config in backends]
    try:
        await asyncio.gather(*(way.backend.warm() for way in ways))
        await taking_turns(ROUND_TRIPS, {way.backend.name: _noting(way, way.ask) for way in ways})
        await taking_turns(rounds, {way.backend.name: _noting(way, way.carry) for way in ways})
    finally:
        keep([_cost(way) for way in ways])
        for way in ways:
            await way.backend.close()


def _noting(way: _Way, work: Work) -> Work:
    """`work`, or nothing any more once it has failed."""

    async def noted() -> None:
        if way.failure is None:
            try:
                await work()
            except VeilrunError as error:
                way.failure = error.message if isinstance(error, BackendError) else str(error)

    return noted


def _cost(way: _Way) -> PathCost:
    found = (
        _part(ROUND_TRIP, "ms", [1000 * trip for trip in way.trips]),
        _part(FIRST_EVENT, "ms", [1000 * event for event in way.events]),
        _part(UP, "MB/s", way.ups),
        _part(DOWN, "MB/s", way.downs),
    )
    parts = tuple(part for part in found if part is not None)
    return PathCost(way.backend.name, way.backend.config.transport, parts, way.failure)


def _part(what: str, unit: str, values: Sequence[float]) -> Part | None:
    if not values:
        return None
    return Part(what, unit, statistics.median(values), min(values), max(values), len(values))


def path_rows(costs: Sequence[PathCost]) -> list[list[str]]:
    """A row for each figure, a column for each backend, and how it stands to the first."""
    parts = [{part.what: part for part in cost.parts} for cost in costs]
    rows = []
    for what in (ROUND_TRIP, FIRST_EVENT, UP, DOWN):
        unit = next((known[what].unit for known in parts if what in known), None)
        if unit is None:
            continue
        row = [f"{what}, {unit}"]
        for number, known in enumerate(parts):
            part, first = known.get(what), parts[0].get(what)
            row.append("–" if part is None else f"{part.median:.1f} ({part.low:.1f} to {part.high:.1f})")
            if number:
                row.append("–" if part is None or first is None else f"{part.median / first.median:.2f}x")
        rows.append(row)
    return rows


def path_titles(costs: Sequence[PathCost]) -> list[str]:
    """The head of that table."""
    titles = ["median (least to most)"]
    for number, cost in enumerate(costs):
        titles.append(f"{cost.backend}, {cost.transport}")
        if number:
            titles.append("of the first")
    return titles
