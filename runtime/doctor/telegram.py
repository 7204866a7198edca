"""Whether Telegram knows the bot, and delivers its updates here."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx

from runtime.chat.errors import NotSent, TelegramFailed, TokenRefused
from runtime.chat.gateway import Webhook, open_gateway
from runtime.chat.webhook import ALLOWED_UPDATES, PATH
from runtime.chat.wire import date_of
from runtime.doctor.clock import Reading
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.doctor.settings import OFFICIAL
from runtime.settings import Settings

SUBJECT = "telegram"
SET = "run `veilrun webhook set`"
SECONDS = {"direct": 20.0, "anon": 65.0}
MANY_PENDING = 50
FRESH_SECONDS = 900.0
"""An error so old, with nothing waiting, is over."""


async def check_telegram(deployment: Deployment) -> list[Line]:
    """The token, the webhook, and how deliveries go."""
    settings = deployment.settings
    if settings.telegram_bot_token is None:
        return [ok(SUBJECT, "not asked: there is no token")]
    try:
        async with open_gateway(settings) as gateway, asyncio.timeout(SECONDS[settings.telegram_via]):
            name = await gateway.username()
            webhook = await gateway.webhook()
    except TimeoutError:
        text = f"no answer within {SECONDS[settings.telegram_via]:g} s"
        return [fault(SUBJECT, text, "look at this machine's way to it; TELEGRAM_API_URL names the server")]
    except TokenRefused:
        cure = f"copy the token from BotFather again; a bot that was revoked there has a new one{_elsewhere(settings)}"
        return [fault(SUBJECT, "it does not know this bot: TELEGRAM_BOT_TOKEN is refused", cure)]
    except NotSent as error:
        way = "anon must be connected" if settings.telegram_via == "anon" else "look at this machine's way to it"
        return [fault(SUBJECT, f"not reached: {error}", f"{way}; TELEGRAM_API_URL names the server")]
    except TelegramFailed as error:
        return [
            fault(SUBJECT, f"it does not answer as it should: {error}", f"try again in a minute{_elsewhere(settings)}")
        ]
    await _read_clock(deployment)
    now = datetime.now(UTC)
    return [ok(SUBJECT, f"the bot is @{name}"), *webhook_lines(webhook, settings, now)]


def _elsewhere(settings: Settings) -> str:
    if urlsplit(settings.telegram_api_url).hostname == OFFICIAL:
        return ""
    return "; see whether TELEGRAM_API_URL leads to a Bot API server"


def webhook_lines(webhook: Webhook, settings: Settings, now: datetime) -> Iterator[Line]:
    """What getWebhookInfo says, against what it should say."""
    wanted = settings.public_url.rstrip("/") + PATH if settings.public_url else None
    if not webhook.url:
        if wanted is None:
            yield fault(SUBJECT, "no webhook is set: no update comes", f"{SET} URL, or set VEILRUN_PUBLIC_URL")
        else:
            yield warning(SUBJECT, "no webhook is set: no update comes", "start `veilrun serve` or `up`, which sets it")
        yield from _pending(webhook)
        return
    if wanted is not None and webhook.url != wanted:
        text = f"updates go to {_shown(webhook.url)}, and VEILRUN_PUBLIC_URL says {wanted}"
        yield fault(SUBJECT, text, f"{SET}; if another deployment has taken this bot over, give this one its own")
    elif not urlsplit(webhook.url).path.endswith(PATH):
        yield fault(SUBJECT, f"updates go to {_shown(webhook.url)}, which does not end in {PATH}", f"{SET} URL")
    else:
        place = f" at {webhook.ip_address}" if webhook.ip_address else ""
        yield ok(SUBJECT, f"updates go to {_shown(webhook.url)}{place}")
    lacking = [kind for kind in ALLOWED_UPDATES if webhook.allowed_updates and kind not in webhook.allowed_updates]
    if lacking:
        yield fault(SUBJECT, f"it does not send {', '.join(lacking)}: buttons or invitations do nothing", SET)
    yield from _pending(webhook)
    yield from _last_error(webhook, now)


def _pending(webhook: Webhook) -> Iterator[Line]:
    text = f"{webhook.pending_updates} updates wait there"
    if webhook.pending_updates > MANY_PENDING:
        yield warning(SUBJECT, text, "they come when the web process takes them; Telegram keeps them for a day")
    else:
        yield ok(SUBJECT, text)


def _last_error(webhook: Webhook, now: datetime) -> Iterator[Line]:
    if webhook.last_error is None:
        return
    age = (now - webhook.last_error_at).total_seconds() if webhook.last_error_at else 0.0
    text = f"last failed delivery {_ago(age)}: {webhook.last_error}"
    if webhook.pending_updates and age < FRESH_SECONDS:
        yield fault(SUBJECT, text, "see docs/operator.md: web process, proxy, TLS certificate, DNS name")
    elif age < FRESH_SECONDS:
        yield warning(SUBJECT, text, "nothing waits, so it may be over; look again in a while")
    else:
        yield ok(SUBJECT, f"{text}; nothing newer")


def _ago(seconds: float) -> str:
    for length, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {name} ago"
    return f"{max(seconds, 0):.0f} s ago"


def _shown(url: str) -> str:
    """Without what may be a secret: a path that is not ours, and a query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path if parts.path.endswith(PATH) else '/…'}"


async def _read_clock(deployment: Deployment) -> None:
    """What Telegram's Date header says; nothing if it says nothing."""
    settings = deployment.settings
    asked_at = time.time()
    with suppress(httpx.HTTPError):
        date = await date_of(settings.telegram_api_url, settings.anon_dir if settings.telegram_via == "anon" else None)
        reading = Reading.of_date("Telegram", date or "", asked_at, time.time())
        if reading is not None:
            deployment.clocks.append(reading)
