"""The routes that pass. Everything that is not here is answered 404."""

from aiohttp import web

from runtime.gate.facts import FactRoutes
from runtime.gate.media import MediaRoutes
from runtime.gate.prompts import PromptRoutes
from runtime.gate.sockets import SocketRoutes

ID = "{prompt_id:[A-Za-z0-9_-]{1,128}}"
FOLDER = "{folder:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}}"


def table(prompts: PromptRoutes, media: MediaRoutes, facts: FactRoutes, sockets: SocketRoutes) -> list[web.RouteDef]:
    """All that pass. No /api/…, no node manager, no /userdata, nothing that lists what others did."""
    return [
        web.get("/ws", sockets.events, allow_head=False),
        web.post("/upload/image", media.upload),
        web.get("/view", media.view, allow_head=True),
        web.post("/prompt", prompts.post),
        web.get("/queue", prompts.queue, allow_head=False),
        web.post("/queue", prompts.delete_pending),
        web.get(f"/history/{ID}", prompts.history, allow_head=False),
        web.post("/history", prompts.delete_history),
        web.post("/interrupt", prompts.interrupt),
        web.post("/free", prompts.free),
        web.get("/object_info", facts.object_info, allow_head=False),
        web.get("/prompt", facts.plain, allow_head=False),
        web.get("/system_stats", facts.plain, allow_head=False),
        web.get(f"/models/{FOLDER}", facts.plain, allow_head=False),
        web.get("/features", facts.plain, allow_head=False),
    ]
