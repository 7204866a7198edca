"""A server that tries to lead us elsewhere: by redirects, and by what it writes into its answers."""

from typing import Any

from aiohttp import web

from runtime.comfyui import BackendMisconfigured, OutputFile, UnexpectedAnswer, collect, fetch
from runtime.leaks.scenarios.scenario import Scenario
from runtime.leaks.stage import OTHER_SERVICE, Stage

ELSEWHERE = "http://elsewhere.example"
STATUSES = (301, 302, 303, 307, 308)

TARGETS = {
    "another hidden service": f"http://{OTHER_SERVICE}:8188/x",
    "a clearnet name": f"{ELSEWHERE}/x",
    "an IP": "http://198.51.100.80/x",
    "a server on this machine": "http://127.0.0.1:{port}/x",
    "a name without a scheme": "//elsewhere.example/x",
    "its own address": "/x",
}

POINTERS = {
    "url": f"{ELSEWHERE}/a.png",
    "preview_url": f"{ELSEWHERE}/b.png",
    "icon": f"{ELSEWHERE}/c.png",
}
NAMES = (
    f"{ELSEWHERE}/out.png",
    "//elsewhere.example/out.png",
    "@elsewhere.example/out.png",
    "\\\\elsewhere.example\\share\\out.png",
    f"out.png#{ELSEWHERE}",
    f"../../{ELSEWHERE}",
)


def _redirected(status: int, what: str, target: str) -> Scenario:
    async def play(stage: Stage) -> None:
        port = 0

        async def redirect(_: web.Request) -> web.StreamResponse:
            headers = {"Location": target.format(port=port), "Refresh": f"0; url={ELSEWHERE}"}
            return web.Response(status=status, headers=headers)

        port = await stage.serve(redirect)
        await stage.expect_from_all(BackendMisconfigured, stage.client())

    return Scenario(f"redirect {status} to {what}", play)


async def _urls_in_answers(stage: Stage) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        headers = {
            "Link": f"<{ELSEWHERE}>; rel=preload",
            "Content-Location": ELSEWHERE,
            "Alt-Svc": 'h2="elsewhere:443"',
        }
        if request.path == "/view":
            return web.Response(body=b"picture", headers=headers)
        return web.json_response(_document(), headers=headers)

    await stage.serve(answer)
    client = stage.client()
    stats = await client.system_stats()
    await client.object_info()
    await client.prompt_info()
    await client.features()
    uploaded = await client.upload_image(b"photo", "photo.png")
    stage.require(stats.comfyui_version == ELSEWHERE and uploaded.name == NAMES[0], "the answers were not read")
    history = await client.history("p")
    assert history is not None
    outputs = await collect(client, history)
    stage.require(len(outputs) == len(NAMES), "not every file was fetched")


async def _files_with_odd_names(stage: Stage) -> None:
    await stage.serve(_not_there)
    client = stage.client()
    for name in NAMES:
        for file in (
            OutputFile("save", name),
            OutputFile("save", "out.png", name),
            OutputFile("save", "out.png", "", name),
        ):
            await stage.expect(UnexpectedAnswer, fetch(client, file), name)


async def _not_there(request: web.Request) -> web.StreamResponse:
    return web.Response(status=400)


def _document() -> dict[str, Any]:
    """Answers every route, with a URL wherever one fits."""
    images = [{"filename": name, "subfolder": ELSEWHERE, "type": "output", **POINTERS} for name in NAMES]
    return {
        "system": {"comfyui_version": ELSEWHERE, "argv": [ELSEWHERE]},
        "devices": [],
        "name": NAMES[0],
        "exec_info": {"queue_remaining": 0},
        "prompt_id": ELSEWHERE,
        "number": 1,
        "p": {"outputs": {"save": {"images": images}}, "status": {"status_str": "success"}, **POINTERS},
        **POINTERS,
    }


SCENARIOS = (
    *(_redirected(status, what, target) for status in STATUSES for what, target in TARGETS.items()),
    Scenario("URLs in every answer", _urls_in_answers),
    Scenario("files named like URLs", _files_with_odd_names),
)
