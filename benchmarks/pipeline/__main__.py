"""How busy a GPU is that is a second away: with one prompt ahead, one at a time, and driven by a plain client.

Real web and worker processes, PostgreSQL and Dramatiq. ComfyUI is the sandbox, whose runs take 1.8 s; every byte
between it and the worker is held back for half a second each way.
"""

import argparse
import asyncio
import shutil
import tempfile
from pathlib import Path

from benchmarks.onion.job import JOB_SECONDS, PACE, REGISTRY, share_of, watched
from db import migrate
from db.embedded import embedded_database
from plugins.flux import flux
from runtime.comfyui import ComfyClient, EventHub, Prompt, run_and_collect
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.transport import open_transport
from tests.e2e.deployment import deployed
from tests.worker.far import FarAway

BAR = 0.97


async def by_veilrun(folder: Path, jobs: int, round_trip_seconds: float, lookahead: int) -> float:
    """Part of the time in which a prompt ran, with so many waiting in ComfyUI's own queue."""
    with embedded_database(folder / "database") as dsn:
        migrate.upgrade(dsn)
        async with (
            SandboxComfyUI(pace=PACE, paints=False) as comfyui,
            FarAway(comfyui.url, round_trip_seconds) as far,
            deployed(
                dsn,
                folder,
                registry=REGISTRY.format(url=far.url, transport="direct", lookahead=lookahead),
                comfyui=comfyui,
            ) as run,
        ):
            return await share_of(run, comfyui, round_trip_seconds, jobs)


async def by_plain_client(jobs: int, round_trip_seconds: float) -> float:
    """The same for a client that posts the next prompt when it has the last one's picture. Its event socket is open."""
    transport = open_transport("direct")
    async with SandboxComfyUI(pace=PACE, paints=False) as comfyui, FarAway(comfyui.url, round_trip_seconds) as far:
        client = ComfyClient("gpu", far.url, transport)
        try:
            async with EventHub(client) as hub:
                await run_and_collect(client, prompt_of(0), hub=hub)
                watching = asyncio.create_task(watched(comfyui, jobs + 1))
                for number in range(1, jobs + 1):
                    await run_and_collect(client, prompt_of(number), hub=hub)
                return await watching
        finally:
            await transport.close()


def prompt_of(number: int) -> Prompt:
    values = {"prompt": ["an astronaut"], "size": [256, 256], "seed": [number], "n": [1], "steps": [4]}
    return Prompt(f"plain-{number}", flux.workflow.fill(values))  # type: ignore[arg-type]


async def compare(folder: Path, jobs: int, round_trip_seconds: float) -> None:
    """Print the three."""
    print(f"{jobs} jobs of {JOB_SECONDS} s each, {round_trip_seconds:g} s there and back: GPU busy", flush=True)
    plain = await by_plain_client(jobs, round_trip_seconds)
    print(f"  one prompt after the other, plain client   {plain:6.1%}", flush=True)
    shares = {}
    for lookahead in (0, 1):
        place = folder / f"lookahead-{lookahead}"
        place.mkdir(mode=0o711)
        shares[lookahead] = await by_veilrun(place, jobs, round_trip_seconds, lookahead)
        note = f"   (bar {BAR:.0%}) {'met' if shares[1] >= BAR else 'MISSED'}" if lookahead else ""
        print(f"  veilrun, lookahead: {lookahead}                      {shares[lookahead]:6.1%}{note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--round-trip", type=float, default=1.0, help="seconds")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)
    try:
        asyncio.run(compare(folder, options.jobs, options.round_trip))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
