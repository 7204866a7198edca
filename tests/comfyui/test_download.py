"""Large files in parts over several lanes, from a server that breaks off, refuses, changes and dawdles as scripted."""

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.comfyui import BackendError, BackendUnreachable, ComfyClient, OutputFile, OutputTooLarge, fetch
from runtime.comfyui.errors import OutputDamaged, OutputMissing, PathAway, UnexpectedAnswer
from runtime.comfyui.pieces import Cutting
from runtime.transport import Timeouts
from tests.comfyui.lanes import LANE, Lanes

SMALL = Cutting(first_bytes=4096, smallest_bytes=256, stall_seconds=0.3, judge_seconds=0.1)
FILE = OutputFile("save", "film.mp4")
DEADLINE = 20

Fault = Literal["cut", "503", "whole", "nothing"]


@dataclass
class Store:
    """One file at GET /view. faults: what happens to the next requests, None = nothing. Journal: (lane, Range)."""

    content: bytes
    knows_parts: bool = True
    digest: Callable[[bytes], bytes] | None = None
    faults: list[tuple[Fault, int] | None] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)
    etag: str = '"1"'
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    on_request: Callable[[], None] = lambda: None
    broken_lane: str = ""
    gone_after: int | None = None
    gate: asyncio.Event | None = None

    async def view(self, request: web.Request) -> web.StreamResponse:
        lane, asked = request.headers[LANE], request.headers.get("Range", "")
        self.requests.append((lane, asked))
        self.on_request()
        if lane == self.broken_lane and request.transport is not None:
            request.transport.abort()
        if self.gone_after is not None and len(self.requests) > self.gone_after:
            return web.Response(status=404)
        fault, amount = (self.faults.pop(0) if self.faults else None) or ("", 0)
        if fault == "503":
            return web.Response(status=503)
        first, last = 0, len(self.content) - 1
        is_part = bool(asked) and self.knows_parts and fault != "whole"
        if is_part:
            low, _, high = asked.removeprefix("bytes=").partition("-")
            first, last = int(low), min(int(high or last), last)
            if first > last:
                return web.Response(status=416)
        response = web.StreamResponse(status=206 if is_part else 200, headers={"ETag": self.etag})
        response.content_type = "video/mp4"
        if is_part:
            response.headers["Content-Range"] = f"bytes {first}-{last}/{len(self.content)}"
        if self.digest is not None and "Want-Repr-Digest" in request.headers:
            told = base64.b64encode(self.digest(self.content)).decode()
            response.headers["Repr-Digest"] = f"sha-256=:{told}:"
        body = self.content[first : last + 1]
        response.content_length = len(body)
        await response.prepare(request)
        if self.gate is not None:
            await self.gate.wait()
        if fault == "nothing":
            await asyncio.sleep(DEADLINE)
        await self._send(response, body[:amount] if fault == "cut" else body, lane)
        if fault == "cut" and request.transport is not None:
            request.transport.abort()
        return response

    async def _send(self, response: web.StreamResponse, body: bytes, lane: str) -> None:
        """At the lane's rate, in bytes per second, which its requests share."""
        rate = self.rates.get(lane)
        size = len(body) if rate is None else max(int(rate / 50), 1)
        for start in range(0, len(body), size or 1):
            part = body[start : start + size]
            if rate is not None:
                self.sent[lane] = self.sent.get(lane, 0) + 1
                try:
                    await asyncio.sleep(self.sent[lane] * len(part) / rate)
                finally:
                    self.sent[lane] -= 1
            await response.write(part)


@asynccontextmanager
async def serving(store: Store, lanes: int) -> AsyncIterator[tuple[ComfyClient, Lanes]]:
    async with AsyncExitStack() as stack:
        app = web.Application()
        app.router.add_get("/view", store.view)
        server = TestServer(app)
        await server.start_server()
        stack.push_async_callback(server.close)
        transport = Lanes(lanes)
        stack.push_async_callback(transport.close)
        yield ComfyClient("gpu-x", str(server.make_url("/")), transport, Timeouts(connect=5, read=5)), transport


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


async def load(store: Store, lanes: int = 4, **more: int) -> bytes:
    async with serving(store, lanes) as (client, _):
        return (await asyncio.wait_for(fetch(client, FILE, cutting=SMALL, **more), DEADLINE)).content


async def test_a_large_file_comes_in_parts_over_all_lanes():
    store = Store(noise(100_000))

    assert await load(store) == store.content
    assert {lane for lane, _ in store.requests} == {"lane-0", "lane-1", "lane-2", "lane-3"}
    assert store.requests[0] == ("lane-0", "bytes=0-4095")


@pytest.mark.parametrize("size", [1, 4095, 4096])
async def test_a_small_file_costs_one_request(size: int):
    store = Store(noise(size))

    assert await load(store) == store.content
    assert len(store.requests) == 1


async def test_two_requests_are_under_way_on_each_lane_so_that_none_waits_idle_for_an_answer():
    store, arrived = Store(noise(100_000), gate=asyncio.Event()), asyncio.Event()
    store.on_request = lambda: arrived.set() if len(store.requests) == 8 else None

    loading = asyncio.create_task(load(store))
    await asyncio.wait_for(arrived.wait(), DEADLINE)
    assert store.gate is not None
    store.gate.set()

    assert await loading == store.content
    assert sorted(lane for lane, _ in store.requests[:8]) == sorted([f"lane-{n}" for n in range(4)] * 2)


async def test_with_one_lane_it_is_one_plain_request():
    store = Store(noise(100_000))

    assert await load(store, lanes=1) == store.content
    assert store.requests == [("lane-0", "")]


async def test_a_server_that_knows_no_parts_sends_all_in_its_one_stream():
    store = Store(noise(100_000), knows_parts=False)

    assert await load(store) == store.content
    assert len(store.requests) == 1


async def test_a_server_that_forgets_about_parts_is_asked_for_all_at_once():
    store = Store(noise(100_000), faults=[None, ("whole", 0)])

    assert await load(store) == store.content


async def test_an_empty_file_has_no_parts_and_is_still_a_file():
    store = Store(b"")

    assert await load(store) == b""


async def test_a_slow_lane_does_not_hold_up_the_file_and_gets_another_path():
    """Alone, the slow lane would take 10 s for its even share."""
    store = Store(noise(400_000), rates={f"lane-{n}": rate for n, rate in enumerate((5e5, 5e5, 5e5, 1e4))})
    began = asyncio.get_running_loop().time()

    async with serving(store, 4) as (client, transport):
        output = await fetch(client, FILE, cutting=SMALL)

    assert output.content == store.content
    assert asyncio.get_running_loop().time() - began < 4
    assert transport.renewed == ["lane-3"]


async def test_lanes_of_about_the_same_speed_keep_their_paths():
    store = Store(noise(200_000), rates={f"lane-{n}": rate for n, rate in enumerate((3e5, 2e5, 4e5, 2.5e5))})

    async with serving(store, 4) as (client, transport):
        await fetch(client, FILE, cutting=SMALL)

    assert transport.renewed == []


async def test_a_request_that_falls_silent_is_taken_over_by_another_lane():
    store = Store(noise(60_000), faults=[None, ("nothing", 0)])
    began = asyncio.get_running_loop().time()

    assert await load(store) == store.content
    assert asyncio.get_running_loop().time() - began < 4


async def test_what_a_broken_lane_had_to_do_is_done_by_the_others_and_it_gets_another_path():
    store = Store(noise(400_000), broken_lane="lane-2", rates={f"lane-{n}": 1e5 for n in range(4)})

    async with serving(store, 4) as (client, transport):
        output = await fetch(client, FILE, cutting=SMALL)

    assert output.content == store.content
    assert transport.renewed == ["lane-2"]


async def test_a_file_that_changes_between_two_parts_is_read_anew():
    store = Store(noise(60_000))

    def change() -> None:
        if len(store.requests) == 3:
            store.content, store.etag = noise(50_001), '"2"'

    store.on_request = change

    assert await load(store) == noise(50_001)


async def test_a_file_that_keeps_changing_is_given_up():
    store = Store(noise(60_000))

    def change() -> None:
        store.etag = f'"{len(store.requests)}"'

    store.on_request = change

    with pytest.raises(BackendError, match="keeps changing"):
        await load(store)


async def test_content_that_fits_the_servers_own_digest_is_believed():
    store = Store(noise(60_000), digest=sha256)

    assert await load(store) == store.content
    assert len({asked for _, asked in store.requests}) == len(store.requests), "nothing was fetched twice"


@pytest.mark.parametrize("lanes", [1, 4])
async def test_damage_on_the_way_is_seen_and_the_file_fetched_once_more_over_one_lane(lanes: int):
    good, bad = noise(60_000), bytes(60_000)
    store = Store(bad, digest=lambda _: sha256(good))

    def mend() -> None:
        if store.requests[-1][1] == "" and len(store.requests) > 1:
            store.content = good

    store.on_request = mend

    assert await load(store, lanes) == good
    assert [asked for _, asked in store.requests].count("") == (2 if lanes == 1 else 1)


async def test_a_file_damaged_twice_is_an_error_of_its_own():
    store = Store(noise(60_000), digest=lambda content: sha256(b"another"))

    with pytest.raises(OutputDamaged, match="damaged"):
        await load(store)


@pytest.mark.parametrize("lanes", [1, 2])
async def test_a_way_that_is_down_for_a_while_is_waited_for(lanes: int):
    content = noise(100_000)
    async with serving(Store(content), lanes) as (client, transport):
        transport.downs = 8 * lanes

        assert (await asyncio.wait_for(fetch(client, FILE, cutting=SMALL), DEADLINE)).content == content


async def test_a_way_that_stays_down_is_given_up_when_the_patience_with_it_ends():
    async with serving(Store(noise(100_000)), 2) as (client, transport):
        transport.downs, transport.patience_seconds = 10_000, 1.0

        with pytest.raises(PathAway):
            await asyncio.wait_for(fetch(client, FILE, cutting=SMALL), DEADLINE)


async def test_a_way_that_goes_down_between_two_parts_is_waited_for():
    content = noise(100_000)
    store = Store(content)
    async with serving(store, 2) as (client, transport):

        def fall() -> None:
            if len(store.requests) == 3:
                transport.downs = 30

        store.on_request = fall

        assert (await asyncio.wait_for(fetch(client, FILE, cutting=SMALL), DEADLINE)).content == content


async def test_a_file_above_the_bound_is_not_even_begun():
    store = Store(noise(60_000))

    with pytest.raises(OutputTooLarge):
        await load(store, limit_bytes=59_999)

    assert len(store.requests) == 1


async def test_a_file_that_goes_while_it_is_read_is_missing():
    with pytest.raises(OutputMissing):
        await load(Store(noise(60_000), gone_after=2))


async def test_a_server_that_breaks_every_answer_is_given_up():
    store = Store(noise(60_000), faults=[("cut", 0)] * 500)

    with pytest.raises(BackendUnreachable):
        await load(store)


faults = st.one_of(
    st.none(),
    st.tuples(st.just("cut"), st.integers(0, 60_000)),
    st.tuples(st.just("503"), st.just(0)),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    size=st.integers(0, 120_000),
    lanes=st.integers(1, 5),
    plan=st.lists(faults, max_size=10),
    knows_parts=st.booleans(),
    has_digest=st.booleans(),
    whole_at=st.one_of(st.none(), st.integers(0, 6)),
)
def test_whatever_breaks_the_file_is_exact_or_the_error_is_typed(size, lanes, plan, knows_parts, has_digest, whole_at):
    if whole_at is not None:
        plan.insert(whole_at, ("whole", 0))
    store = Store(noise(size), knows_parts=knows_parts, digest=sha256 if has_digest else None, faults=plan)
    broken = sum(fault is not None for fault in plan)

    try:
        content = asyncio.run(load(store, lanes))
    except (BackendUnreachable, UnexpectedAnswer):
        assert broken > 4, "a few breaks are borne with"
    else:
        assert content == store.content
