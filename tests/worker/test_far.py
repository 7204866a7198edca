"""A GPU a long way off is kept busy: the next prompt is there before the last one ends."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.transport import open_transport
from tests.conftest import Database
from tests.worker.far import FarAway
from tests.worker.yard import REGISTRY, open_yard

ROUND_TRIP_SECONDS = 0.5
JOBS = 6


async def test_with_one_prompt_ahead_the_gpu_does_not_wait_for_the_way(database: Database, tmp_path: Path):
    """A run takes about 1.8 round trips, as a quick picture does at 1 s."""
    pace = Pace(load_seconds=0.1, step_seconds=1.8 * ROUND_TRIP_SECONDS / 4, class_seconds={})
    async with SandboxComfyUI(pace=pace, paints=False) as comfyui, FarAway(comfyui.url, ROUND_TRIP_SECONDS) as far:
        path = tmp_path / "plugin_registry.yaml"
        backend = f'  - {{name: gpu-1, url: "{far.url}", device: sandbox, vram_gb: 32, lookahead: 1, traces: keep}}'
        path.write_text(REGISTRY.format(backends=backend, plugins="  flux: {enabled: true}"), encoding="utf-8")
        async with open_yard(database.dsn, path) as yard:
            jobs = [await yard.queue("flux", seed=seed) for seed in range(JOBS)]
            await yard.start_worker()
            await comfyui.wait_for(lambda server: server.clients != [], 30)
            await yard.place_and_wake()
            for job in jobs:
                await yard.until(job, "collected", 30)

        runs = await _runs(comfyui)

    assert len(runs) == JOBS
    gaps = [after[0] - before[1] for before, after in pairwise(runs)]
    assert sorted(gaps)[JOBS // 2] < 0.1 * ROUND_TRIP_SECONDS, gaps
    busy = sum(end - start for start, end in runs)
    assert busy >= 0.9 * (runs[-1][1] - runs[0][0]), gaps


async def _runs(comfyui: SandboxComfyUI) -> list[tuple[float, float]]:
    """When each run started and ended, by the history that the server keeps, in seconds."""
    transport = open_transport("direct")
    try:
        async with transport.request("GET", f"{comfyui.url}/history") as reply:
            entries: dict[str, Any] = json.loads(await reply.read())
    finally:
        await transport.close()
    stamps = [
        [content["timestamp"] / 1000 for _, content in entry["status"]["messages"] if "timestamp" in content]
        for entry in entries.values()
    ]
    return sorted((min(times), max(times)) for times in stamps)
