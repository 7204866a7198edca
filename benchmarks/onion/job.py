"""How busy the GPU is when every round trip to it takes a second: with look-ahead, and one prompt at a time."""

import asyncio
import time
from pathlib import Path

from benchmarks.onion.delay import DelayedLink
from runtime.anon.anonrc import private_folder
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.sandbox.comfyui.pace import Pace
from tests.e2e.deployment import Deployment, deployed
from tests.onion.network import PrivateNetwork

JOB_SECONDS, STEPS = 1.8, 4
PACE = Pace(0.0, JOB_SECONDS / STEPS, 0.0, {})
REGISTRY = """\
version: 1
access: {{default: public}}
backends:
  - {{name: gpu, url: "{url}", transport: {transport}, device: sandbox, vram_gb: 32, lookahead: {lookahead}}}
plugins: {{flux: {{enabled: true, limits: {{per_user: 100}}}}}}
"""


async def busy_share(
    network: PrivateNetwork, dsn: str, folder: Path, *, lookahead: int, round_trip_seconds: float, jobs: int
) -> float:
    """Part of the time, from the first prompt's start to the last one's end, in which a prompt ran."""
    private_folder(folder)
    async with SandboxComfyUI(pace=PACE, paints=False) as comfyui, DelayedLink(round_trip_seconds / 2) as link:
        port = int(comfyui.url.rpartition(":")[2])
        service = await asyncio.to_thread(network.service, port)
        extra = network.extra_rc(folder)
        extra.write_text(extra.read_text() + f"Socks5Proxy 127.0.0.1:{link.port}\n")
        network.seed(private_folder(private_folder(folder / "anon") / "data"))
        text = REGISTRY.format(url=f"http://{service.address}", transport="anon", lookahead=lookahead)
        async with deployed(
            dsn,
            folder,
            registry=text,
            comfyui=comfyui,
            anon=True,
            VEILRUN_ANON_BINARY=str(network.binary),
            VEILRUN_ANON_ACCEPT_TERMS="true",
            VEILRUN_ANON_EXTRA_RC=str(extra),
        ) as run:
            share = await share_of(run, comfyui, round_trip_seconds, jobs)
        await asyncio.to_thread(service.stop)
    return share


async def share_of(run: Deployment, comfyui: SandboxComfyUI, round_trip_seconds: float, jobs: int) -> float:
    """The busy share of `jobs` jobs of one chat, after one that warms everything up."""
    run.chat.send("/f warm-up --size 256x256")
    await comfyui.wait_for(lambda server: len(server.graphs) == 1 and server.running is None, 120)
    await asyncio.sleep(5 * round_trip_seconds)
    for number in range(jobs):
        run.chat.send(f"/f job {number} --size 256x256 --seed {number}")
    return await watched(comfyui, jobs + 1)


async def watched(comfyui: SandboxComfyUI, count: int) -> float:
    """Part of the time in which a prompt runs, from the first start that is seen until `count` prompts have ended."""
    started = ended = busy_since = None
    busy = 0.0
    while len(comfyui.graphs) < count or comfyui.running or comfyui.pending:
        now = time.perf_counter()
        if comfyui.running and busy_since is None:
            busy_since = now
            started = started or now
        elif not comfyui.running and busy_since is not None:
            busy, busy_since, ended = busy + now - busy_since, None, now
        await asyncio.sleep(0.005)
    ended = time.perf_counter()
    if busy_since is not None:
        busy += ended - busy_since
    return busy / (ended - (started or ended))
