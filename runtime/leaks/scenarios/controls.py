"""Leaks on purpose. An instrument that does not see them sees nothing at all."""

import asyncio
import contextlib
from collections.abc import Awaitable

import aiohttp
from aiohttp import web
from aiohttp_socks import ProxyConnector, ProxyError

from runtime.leaks.scenarios.scenario import NO_NAMES, Scenario
from runtime.leaks.socks import HOST
from runtime.leaks.stage import SERVICE, URL, Stage

SECONDS = 1.5
OUT_THERE = ("198.51.100.80", 80)  # RFC 5737: nobody's
ELSEWHERE = "elsewhere.example"


async def _ask_the_resolver(_: Stage) -> None:
    await _give_up_on(asyncio.get_running_loop().getaddrinfo(SERVICE, 80))


async def _connect_out(_: Stage) -> None:
    await _give_up_on(asyncio.open_connection(*OUT_THERE))


async def _go_around_the_proxy(stage: Stage) -> None:
    port = await stage.serve(_nothing)
    await _give_up_on(asyncio.open_connection(HOST, port))


async def _forget_the_connector(_: Stage) -> None:
    async with aiohttp.ClientSession() as session:
        await _give_up_on(session.get(URL))


async def _heed_the_environment(_: Stage) -> None:
    async with aiohttp.ClientSession(trust_env=True) as session:
        await _give_up_on(session.get(URL))


async def _resolve_before_the_proxy(stage: Stage) -> None:
    connector = ProxyConnector(HOST, stage.socks.port, rdns=False)
    async with aiohttp.ClientSession(connector=connector) as session:
        await _give_up_on(session.get(URL))


async def _follow_a_redirect(stage: Stage) -> None:
    connector = ProxyConnector(HOST, stage.socks.port, rdns=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        await stage.serve(_elsewhere)
        await _give_up_on(session.get(URL))


async def _give_up_on(attempt: Awaitable[object]) -> None:
    with contextlib.suppress(OSError, TimeoutError, aiohttp.ClientError, ProxyError):
        async with asyncio.timeout(SECONDS):
            await attempt


async def _nothing(_: web.Request) -> web.Response:
    return web.Response()


async def _elsewhere(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": f"http://{ELSEWHERE}/"})


SCENARIOS = (
    Scenario("control: a name given to the resolver", _ask_the_resolver, NO_NAMES, frozenset({"packets", "questions"})),
    Scenario("control: a connection out", _connect_out, NO_NAMES, frozenset({"packets"})),
    Scenario("control: a connection around the proxy", _go_around_the_proxy, NO_NAMES, frozenset({"packets"})),
    Scenario("control: a session without the proxy", _forget_the_connector, NO_NAMES, frozenset({"questions"})),
    Scenario("control: a session that heeds the environment", _heed_the_environment, NO_NAMES, frozenset({"trapped"})),
    Scenario(
        "control: a name resolved before the proxy", _resolve_before_the_proxy, NO_NAMES, frozenset({"questions"})
    ),
    Scenario("control: a redirect that is followed", _follow_a_redirect, must_see=frozenset({"strays"})),
)
