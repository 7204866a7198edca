"""What goes right, and what is cut in the middle."""

import asyncio

from aiohttp import web

from runtime.comfyui import (
    BackendUnreachable,
    ComfyClient,
    PathAway,
    Prompt,
    UnexpectedAnswer,
    fetch,
    run_and_collect,
)
from runtime.leaks.scenarios.scenario import NO_NAMES, Scenario
from runtime.leaks.socks import Drop, Refuse, RefuseAuthentication, Relay, Silent
from runtime.leaks.stage import FILE, GRAPH, OPERATIONS, URL, Stage
from runtime.registry import BackendConfig
from runtime.scheduler.fleet import Backend
from runtime.scheduler.health import check_backend
from runtime.transport import Timeouts

LARGE, VERY_LARGE = 2**20, 2**24


async def _whole_run(stage: Stage) -> None:
    await stage.comfyui()
    client = stage.client()
    uploaded = await client.upload_image(bytes(LARGE), "photo.png")
    _, outputs = await run_and_collect(client, Prompt("whole", GRAPH))
    stage.require(uploaded.name == "photo.png" and bool(outputs[0].content), "the run brought no picture")


async def _several_lanes(stage: Stage) -> None:
    await stage.serve(_large_file)
    transport = stage.transport()
    for lane in ("api", "upload", *transport.download_lanes):
        for _ in range(2):
            async with transport.request("GET", URL, lane=lane) as reply:
                await reply.read()
            await transport.renew(lane)
    users = {asked.username for asked in stage.socks.requests}
    stage.require(len(users) == len(stage.socks.requests), "two lanes, or a renewed one, share a circuit")


async def _health_check(stage: Stage) -> None:
    await stage.comfyui()
    stage.require((await _health(stage)) == "ready", "the health check does not reach a server that is there")
    await stage.socks.stop()
    stage.require((await _health(stage)) == "away", "the health check does not notice that the proxy is gone")


async def _health(stage: Stage) -> str:
    backend = Backend(BackendConfig("gpu", URL, "anon"), stage.folder)
    try:
        return (await check_backend(backend, {})).state
    finally:
        await backend.close()


async def _proxy_down(stage: Stage) -> None:
    await stage.socks.stop()
    await stage.expect_from_all(PathAway, stage.client())


async def _no_daemon(stage: Stage) -> None:
    stage.forget_state()
    await stage.expect_from_all(PathAway, stage.client())


async def _not_bootstrapped(stage: Stage) -> None:
    stage.tell_state(percent=45)
    await stage.expect_from_all(PathAway, stage.client())


async def _daemon_elsewhere(stage: Stage) -> None:
    await stage.comfyui()
    client = stage.client()
    await client.system_stats()
    await stage.socks.move()
    await stage.expect(PathAway, client.system_stats(), "a question at the old port")
    stage.tell_state()
    await client.system_stats()


async def _proxy_drops(stage: Stage) -> None:
    stage.socks.answer = Drop()
    await stage.expect_from_all(PathAway, stage.client())


async def _proxy_refuses_credentials(stage: Stage) -> None:
    stage.socks.answer = RefuseAuthentication()
    await stage.expect_from_all(PathAway, stage.client())


async def _proxy_silent(stage: Stage) -> None:
    stage.socks.answer = Silent()
    await stage.expect_from_all(BackendUnreachable, stage.client(timeouts=Timeouts(connect=0.2, read=0.2)))


async def _killed_in_a_download(stage: Stage) -> None:
    port = await stage.serve(_large_file)
    stage.socks.answer = Relay(port, cut_after=LARGE // 4)
    await stage.expect(BackendUnreachable, OPERATIONS["a download"](stage.client()), "a download")
    client = stage.client()
    stage.socks.script.append(Relay(port, cut_after=LARGE // 4))
    stage.socks.answer = Relay(port)
    output = await fetch(client, FILE)
    stage.require(len(output.content) == LARGE, "a download that broke was not taken up again")


async def _lanes_cut_in_a_download(stage: Stage) -> None:
    port = await stage.serve(_very_large_file)
    stage.socks.script.extend([Relay(port), Relay(port, cut_after=LARGE), Refuse(0xF2)])
    output = await fetch(stage.client(), FILE)
    stage.require(len(output.content) == VERY_LARGE, "a download did not survive the loss of a circuit")


async def _killed_for_good_in_a_download(stage: Stage) -> None:
    sending = asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(LARGE)})
        await response.prepare(request)
        await response.write(bytes(LARGE // 4))
        sending.set()
        await asyncio.Event().wait()
        return response

    await stage.serve(stall)
    downloading = asyncio.create_task(fetch(stage.client(), FILE))
    await sending.wait()
    await stage.socks.stop()
    await stage.expect(PathAway, downloading, "a download")


async def _killed_in_an_upload(stage: Stage) -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        await stage.socks.stop()
        return web.Response()

    await stage.serve(cut)
    client = stage.client()
    await stage.expect(BackendUnreachable, client.upload_image(bytes(16 * LARGE), "photo.png"), "an upload")
    await stage.expect(PathAway, client.upload_image(bytes(LARGE), "photo.png"), "an upload afterwards")


async def _killed_while_listening(stage: Stage) -> None:
    async def open_and_wait(request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.send_str("{}")
        await websocket.receive()
        return websocket

    await stage.serve(open_and_wait)
    client = stage.client()
    await stage.expect(BackendUnreachable, _listen_until_cut(stage, client), "a WebSocket")
    await stage.expect(PathAway, OPERATIONS["a WebSocket"](client), "a WebSocket afterwards")


async def _listen_until_cut(stage: Stage, client: ComfyClient) -> None:
    async with client.events("c") as socket:
        await socket.receive()
        await stage.socks.stop()
        await socket.receive()


async def _upgrade_refused(stage: Stage, status: int) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text="no WebSocket here")

    await stage.serve(refuse)
    client = stage.client()
    for _ in range(2):
        await stage.expect(UnexpectedAnswer, OPERATIONS["a WebSocket"](client), "a WebSocket")


async def _run_without_websocket(stage: Stage) -> None:
    comfyui = await stage.comfyui()
    comfyui.faults.answers["GET /ws"] = [403] * 20
    _, outputs = await run_and_collect(stage.client(), Prompt("deaf", GRAPH))
    stage.require(bool(outputs), "a run without live events brought no picture")


async def _large_file(request: web.Request) -> web.StreamResponse:
    return _file(request, LARGE)


async def _very_large_file(request: web.Request) -> web.StreamResponse:
    return _file(request, VERY_LARGE)


def _file(request: web.Request, size: int) -> web.Response:
    headers = {"ETag": '"1"', "Content-Type": "image/png", "Accept-Ranges": "bytes"}
    if "Range" not in request.headers:
        return web.Response(body=bytes(size), headers=headers)
    part = request.http_range
    first, end = part.start or 0, min(part.stop or size, size)
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    return web.Response(status=206, body=bytes(end - first), headers=headers)


def _refused_with(status: int) -> Scenario:
    async def play(stage: Stage) -> None:
        await _upgrade_refused(stage, status)

    return Scenario(f"WebSocket upgrade answered with HTTP {status}", play)


SCENARIOS = (
    Scenario("a whole run, with upload and download", _whole_run),
    Scenario("several lanes, each renewed", _several_lanes),
    Scenario("health checks, before and after the proxy is gone", _health_check),
    Scenario("proxy down", _proxy_down, NO_NAMES),
    Scenario("no daemon on this machine", _no_daemon, NO_NAMES),
    Scenario("daemon still bootstraps", _not_bootstrapped, NO_NAMES),
    Scenario("daemon started again on another port", _daemon_elsewhere),
    Scenario("proxy drops every connection", _proxy_drops),
    Scenario("proxy refuses the credentials", _proxy_refuses_credentials),
    Scenario("proxy never answers", _proxy_silent),
    Scenario("proxy killed in a download, and back", _killed_in_a_download),
    Scenario("circuits lost in a download over several lanes", _lanes_cut_in_a_download),
    Scenario("proxy killed in a download, for good", _killed_for_good_in_a_download),
    Scenario("proxy killed in an upload", _killed_in_an_upload),
    Scenario("proxy killed while listening", _killed_while_listening),
    *(_refused_with(status) for status in (403, 404, 200)),
    Scenario("a whole run without live events", _run_without_websocket),
)
