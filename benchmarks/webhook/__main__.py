"""Durable webhook against python-telegram-bot's own server and against one INSERT a request. Prints ratios of one run.

Same body, 40 connections, the server on one core and the load generator on another. Rounds take turns, so that a
machine whose speed drifts treats all alike; medians are printed.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import uvloop

from benchmarks.webhook.load import Result, body, load, requests
from benchmarks.webhook.servers import SECRET
from db import migrate
from db.embedded import embedded_database

NAMES = ("ours", "insert", "ptb")
BARS = {"ptb": 5.0, "insert": 2.0}
P99_BAR_MS = 15.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def server(name: str, dsn: str, core: int) -> Iterator[tuple[int, psutil.Process]]:
    """One of the servers, pinned to a core. (port, process)."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.webhook.servers", name, str(port), dsn]
    process = subprocess.Popen(command)
    try:
        os.sched_setaffinity(process.pid, {core})
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"server {name} did not start")
            time.sleep(0.05)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


def measured(port: int, process: psutil.Process, connections: int, seconds: float, first: int) -> tuple[Result, float]:
    """One run and the share of a core that the server used."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        source = requests(SECRET, first)
        runner.run(load(port, connections, 0.7, source))  # warm-up
        before, started = sum(process.cpu_times()[:2]), time.perf_counter()
        result = runner.run(load(port, connections, seconds, source))
        share = (sum(process.cpu_times()[:2]) - before) / (time.perf_counter() - started)
    return result, share


def stored(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("select count(*) from updates").fetchone()
        connection.execute("truncate updates")
        return int(row[0]) if row else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=40)
    wanted = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)
    runs: dict[str, list[tuple[Result, float]]] = {name: [] for name in NAMES}
    os.sched_setaffinity(0, set(cores))  # the database may use every core
    try:
        with embedded_database(folder) as dsn:
            migrate.upgrade(dsn)
            os.sched_setaffinity(0, {cores[-1]})
            for number in range(wanted.rounds):
                for name in NAMES:
                    with server(name, dsn, cores[0]) as (port, process):
                        first = (number * len(NAMES) + NAMES.index(name)) * 10_000_000
                        result, share = measured(port, process, wanted.connections, wanted.seconds, first)
                    rows = stored(dsn)
                    if name != "ptb" and rows < result.answered:
                        sys.exit(f"{name}: {result.answered} acknowledged, only {rows} stored")
                    runs[name].append((result, share))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report(runs, wanted.connections)


def report(runs: dict[str, list[tuple[Result, float]]], connections: int) -> None:
    print(
        f"webhook receiver, {connections} connections, body {len(body(10**11))} bytes, medians of {len(runs['ours'])} rounds"
    )
    print(f"{'':8} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} {'core':>6} {'not 200':>8}")
    rate: dict[str, float] = {}
    for name, found in runs.items():
        rate[name] = statistics.median(result.per_second for result, _ in found)
        p50 = statistics.median(result.percentile(0.5) for result, _ in found)
        p99 = statistics.median(result.percentile(0.99) for result, _ in found)
        share = statistics.median(share for _, share in found)
        refused = sum(result.refused for result, _ in found)
        print(f"{name:8} {rate[name]:8.0f} {p50:8.2f} {p99:8.2f} {share:5.0%} {refused:8}")
        if name == "ours":
            slow = p99
    for other, bar in BARS.items():
        ratio = statistics.median(
            ours[0].per_second / theirs[0].per_second for ours, theirs in zip(runs["ours"], runs[other], strict=True)
        )
        print(f"ours / {other}: {ratio:.1f}x (bar {bar:g}x) {'met' if ratio >= bar else 'MISSED'}")
    print(f"ours p99: {slow:.1f} ms (bar {P99_BAR_MS:g} ms) {'met' if slow <= P99_BAR_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
