"""How the gate says no."""

import json

from aiohttp import web

SIGNATURE = {"Veilrun-Gate": "1", "Server": "veilrun"}
"""On every answer; without the second it would say which Python this machine has."""


def refused(kind: type[web.HTTPException], reason: str) -> web.HTTPException:
    """An HTTP answer with the reason as JSON. `reason` quotes nothing of what was sent."""
    return kind(text=json.dumps({"error": reason}), content_type="application/json")
