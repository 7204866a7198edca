"""/sandbox/faults and /sandbox/journal: the same switches as from Python, for tests in other processes."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from aiohttp import web

from runtime.sandbox.telegram.faults import Fault
from runtime.sandbox.telegram.state import World

_FAULT_FIELDS = frozenset(field.name for field in fields(Fault))
_KINDS = frozenset({"error", "slow", "hang", "cut", "bad_gateway", "duplicate", "reorder"})


def admin_routes(world: World) -> list[web.RouteDef]:
    """GET, POST (a fault or a list of them, as JSON) and DELETE on /sandbox/faults; GET /sandbox/journal."""

    async def show_faults(request: web.Request) -> web.Response:
        return web.json_response(world.faults.to_json())

    async def add_faults(request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            faults = [_fault(item) for item in (wanted if isinstance(wanted, list) else [wanted])]
        except (json.JSONDecodeError, TypeError, ValueError) as broken:
            return web.json_response({"error": str(broken)}, status=400)
        world.faults.add(*faults)
        return web.json_response(world.faults.to_json(), status=201)

    async def clear_faults(request: web.Request) -> web.Response:
        world.faults.clear()
        return web.json_response([])

    async def show_journal(request: web.Request) -> web.Response:
        return web.json_response([asdict(entry) for entry in world.journal])

    return [
        web.get("/sandbox/faults", show_faults),
        web.post("/sandbox/faults", add_faults),
        web.delete("/sandbox/faults", clear_faults),
        web.get("/sandbox/journal", show_journal),
    ]


def _fault(item: object) -> Fault:
    if not isinstance(item, dict):
        raise TypeError("a fault is a JSON object")
    unknown = sorted(set(item) - _FAULT_FIELDS)
    if unknown:
        raise ValueError(f"unknown fields {unknown}; a fault has {sorted(_FAULT_FIELDS)}")
    if item.get("kind") not in _KINDS:
        raise ValueError(f"kind is one of {sorted(_KINDS)}, got {item.get('kind')!r}")
    if item.get("retry_after") is not None and item["kind"] == "error" and "code" not in item:
        item = {**item, "code": 429, "description": f"Too Many Requests: retry after {item['retry_after']}"}
    return Fault(**item)
