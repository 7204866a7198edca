"""setWebhook, deleteWebhook, getWebhookInfo and getUpdates."""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import ApiError, BadRequest
from runtime.sandbox.telegram.methods.table import Answer, Bench, method
from runtime.sandbox.telegram.state import Webhook
from runtime.sandbox.telegram.updates import DEFAULT_KINDS

_OTHER_POLL = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
_BESIDE_WEBHOOK = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)
_SECRET = re.compile(r"[A-Za-z0-9_-]*")


@method("setWebhook")
async def set_webhook(bench: Bench, call: Call) -> Answer:
    """Plain http and any port are fine here, where the real service wants https on 443, 80, 88 or 8443."""
    world = bench.world
    url = call.text("url")
    if not url:
        return _delete(bench, call)
    address = url if "://" in url else f"https://{url}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadRequest("invalid webhook URL specified")
    secret = call.text("secret_token")
    if len(secret) > limits.SECRET_TOKEN_LENGTH:
        raise BadRequest("secret token is too long")
    if not _SECRET.fullmatch(secret):
        raise BadRequest("secret token contains unallowed characters")
    webhook = Webhook(
        address,
        secret,
        call.integer("max_connections", limits.WEBHOOK_CONNECTIONS, 1, limits.WEBHOOK_CONNECTIONS_MAX),
        call.text("ip_address"),
        "certificate" in call.uploads or call.text("certificate").startswith("attach://"),
    )
    _choose_updates(bench, call)
    if call.flag("drop_pending_updates"):
        world.updates.clear()
    previous, world.webhook = world.webhook, webhook
    world.events.publish("chats", None)
    world.updates.arrivals.wake()
    if previous == webhook:
        return Answer(True, "Webhook is already set")
    world.last_error_date, world.last_error_message = 0, ""
    return Answer(True, "Webhook was set")


@method("deleteWebhook")
async def delete_webhook(bench: Bench, call: Call) -> Answer:
    return _delete(bench, call)


def _delete(bench: Bench, call: Call) -> Answer:
    world = bench.world
    if call.flag("drop_pending_updates"):
        world.updates.clear()
    previous, world.webhook = world.webhook, None
    world.last_error_date, world.last_error_message = 0, ""
    world.updates.arrivals.wake()
    return Answer(True, "Webhook was deleted" if previous else "Webhook is already deleted")


@method("getWebhookInfo")
async def get_webhook_info(bench: Bench, call: Call) -> dict[str, Any]:
    world = bench.world
    webhook = world.webhook or Webhook("")
    shown: dict[str, Any] = {
        "url": webhook.url,
        "has_custom_certificate": webhook.has_custom_certificate,
        "pending_update_count": len(world.updates.pending()),
    }
    if world.webhook:
        shown["max_connections"] = webhook.max_connections
        shown["ip_address"] = webhook.ip_address or "127.0.0.1"
    if world.last_error_date:
        shown["last_error_date"] = world.last_error_date
        shown["last_error_message"] = world.last_error_message
    if world.updates.allowed != DEFAULT_KINDS:
        shown["allowed_updates"] = sorted(world.updates.allowed)
    return shown


@method("getUpdates")
async def get_updates(bench: Bench, call: Call) -> list[dict[str, Any]]:
    """Long poll; answers at once when there is something, else when something comes or `timeout` is over."""
    world = bench.world
    _refuse_beside_webhook(bench)
    _choose_updates(bench, call)
    limit = call.integer("limit", limits.UPDATES_PAGE, 1, limits.UPDATES_PAGE)
    offset = call.integer("offset")
    if offset:
        world.updates.confirm_before(offset)
    seconds = call.integer("timeout", 0, 0, limits.LONG_POLL_SECONDS)

    world.polls += 1
    if world.polls == 1:
        world.events.publish("chats", None)
    world.events.waiters.wake()
    mine = world.polls
    world.updates.arrivals.wake()

    def ready() -> bool | None:
        return True if world.updates.pending() or world.webhook or world.polls != mine else None

    if seconds:
        try:
            async with asyncio.timeout(seconds):
                await world.updates.arrivals.until(ready)
        except TimeoutError:
            return []
        if world.webhook:
            raise ApiError(409, "Conflict: terminated by setWebhook request")
        if world.polls != mine:
            raise ApiError(409, _OTHER_POLL)
    return [update.to_json() for update in world.updates.pending()[:limit]]


def _refuse_beside_webhook(bench: Bench) -> None:
    if bench.world.webhook:
        raise ApiError(409, _BESIDE_WEBHOOK)


def _choose_updates(bench: Bench, call: Call) -> None:
    chosen = call.structure("allowed_updates", "allowed updates")
    if chosen is not None and not isinstance(chosen, list):
        raise BadRequest("expected an Array of String as allowed updates")
    bench.world.updates.allow(chosen)
