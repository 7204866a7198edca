"""The price of the onion path, over a private network on loopback made of the real anon.

Direct, raw SOCKS on the same circuits and veilrun take turns in one run. Then the same path with a delay put between
the client and its first relay; and how busy a GPU is behind it.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.onion.delay import DelayedLink
from benchmarks.onion.job import JOB_SECONDS, busy_share
from benchmarks.onion.ways import MEGABYTE, direct, fetched, file_server, onion, request, upload
from db import migrate
from db.embedded import embedded_database
from runtime.anon.binary import find_binary
from runtime.anon.errors import AnonNotInstalled
from runtime.bench.turns import Work, taking_turns
from runtime.settings import read_settings
from tests.onion.network import PrivateNetwork

LARGE = "/view?size=52428800"
SLOW_RTT_SECONDS, JOB_RTT_SECONDS = 0.1, 1.0


async def medians(rounds: int, works: Mapping[str, Work]) -> dict[str, float]:
    """The median seconds of each."""
    taken = await taking_turns(rounds, works)
    return {name: statistics.median(values) for name, values in taken.items()}


def table(title: str, rows: list[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<44} {value}")


async def paths(network: PrivateNetwork, rounds: int, round_trip_seconds: float) -> None:
    """Requests and files over one path."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            file_server(Path(folder)) as port,
            direct(port) as (plain, near),
            DelayedLink(round_trip_seconds / 2) as link,
        ):
            service = await asyncio.to_thread(network.service, port)
            async with onion(network, service.address, link.port if round_trip_seconds else None) as way:
                body = bytes(10 * MEGABYTE)
                small = await medians(
                    30,
                    {
                        "direct": lambda: request(plain, f"{near}/prompt"),
                        "raw": lambda: way.raw_get("/prompt", "api"),
                        "veilrun": lambda: request(way.transport, f"{way.url}/prompt"),
                    },
                )
                up = await medians(
                    rounds,
                    {
                        "direct": lambda: upload(plain, near, body),
                        "raw": lambda: way.raw_put(body),
                        "veilrun": lambda: upload(way.transport, way.url, body),
                    },
                )
                down = await medians(
                    rounds,
                    {
                        "direct": lambda: request(plain, f"{near}{LARGE}"),
                        "raw": lambda: way.raw_get(LARGE),
                        "veilrun": lambda: request(way.transport, f"{way.url}{LARGE}", "transfer"),
                        "four": lambda: fetched(way.transport, way.url, 4),
                    },
                )
            await asyncio.to_thread(service.stop)
    table(
        f"delay {round_trip_seconds * 1000:.0f} ms there and back, median of turns",
        [
            ("small request: direct", f"{small['direct'] * 1000:8.1f} ms"),
            ("  raw SOCKS, new stream each time", f"{small['raw'] * 1000:8.1f} ms"),
            ("  veilrun, stream kept", f"{small['veilrun'] * 1000:8.1f} ms"),
            ("10 MB up: direct", f"{10 / up['direct']:8.1f} MB/s"),
            ("  raw SOCKS", f"{10 / up['raw']:8.2f} MB/s"),
            ("  veilrun, same circuit", f"{10 / up['veilrun']:8.2f} MB/s   {up['veilrun'] / up['raw']:.2f}x the time"),
            ("50 MB down: direct", f"{50 / down['direct']:8.1f} MB/s"),
            ("  raw SOCKS", f"{50 / down['raw']:8.2f} MB/s"),
            (
                "  veilrun, same circuit",
                f"{50 / down['veilrun']:8.2f} MB/s   {down['veilrun'] / down['raw']:.2f}x the time   (bar: 1.05x)",
            ),
            (
                "  veilrun, 4 circuits",
                f"{50 / down['four']:8.2f} MB/s   {down['veilrun'] / down['four']:.1f}x one circuit   (bar: 4x)",
            ),
        ],
    )


async def gpu(network: PrivateNetwork, folder: Path, jobs: int) -> None:
    """Busy share with and without look-ahead, each on a database of its own."""
    shares: dict[int, float] = {}
    for lookahead in (0, 1):
        with embedded_database(folder / f"database-{lookahead}") as dsn:
            migrate.upgrade(dsn)
            shares[lookahead] = await busy_share(
                network,
                dsn,
                folder / f"lookahead-{lookahead}",
                lookahead=lookahead,
                round_trip_seconds=JOB_RTT_SECONDS,
                jobs=jobs,
            )
    table(
        f"{jobs} jobs of {JOB_SECONDS} s each, {JOB_RTT_SECONDS:g} s there and back: part of the time the GPU is busy",
        [
            ("one at a time (lookahead: 0)", f"{shares[0]:8.1%}"),
            ("with one prompt ahead (lookahead: 1)", f"{shares[1]:8.1%}   (bar: 90 %)"),
        ],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--only", choices=["files", "gpu"], help="One half of it.")
    wanted = parser.parse_args()
    try:
        binary = find_binary(read_settings())
    except AnonNotInstalled as error:
        sys.exit(f"not run: {error}")
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)
    try:
        with PrivateNetwork(binary) as network:
            if wanted.only != "gpu":
                asyncio.run(paths(network, wanted.rounds, 0.0))
                asyncio.run(paths(network, wanted.rounds, SLOW_RTT_SECONDS))
            if wanted.only != "files":
                asyncio.run(gpu(network, folder, wanted.jobs))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
