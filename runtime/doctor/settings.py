"""Whether the settings fit together and will do what the operator means. No secret is ever part of a line."""

import difflib
import ipaddress
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from runtime.chat.webhook import PATH
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.settings import Settings
from runtime.transport.address import HIDDEN_SUFFIXES

SUBJECT = "settings"
OFFICIAL = "api.telegram.org"
WEBHOOK_PORTS = (443, 80, 88, 8443)  # Bot API, setWebhook
PREFIXES = ("VEILRUN_", "TELEGRAM_", "DATABASE_", "BROKER_", "BOT_")
NEAR = 0.86
"""How alike a variable and a setting must be for the one to be taken for the other misspelt."""

STRONG_BITS, WEAK_BITS = 112.0, 64.0
NEW_SECRET = "take another, such as `openssl rand -hex 32`, or leave it out: then it is derived from the token"


async def check_settings(deployment: Deployment) -> list[Line]:
    """What was read, what looks misspelt, and what does not fit together."""
    settings = deployment.settings
    return [
        *_read(deployment.environment),
        *_token(settings),
        *_secret(settings),
        *_api(settings),
        *_public_url(settings),
        *_listening(settings),
        *_times(settings),
    ]


def variables() -> set[str]:
    """The name of every setting in the environment."""
    return {
        str(field.validation_alias.choices[0]) if field.validation_alias else f"VEILRUN_{name.upper()}"  # type: ignore[union-attr]
        for name, field in Settings.model_fields.items()
    }


def _read(environment: Mapping[str, str]) -> Iterator[Line]:
    known = variables()
    given = sorted(name for name in environment if name in known)
    yield ok(SUBJECT, f"from the environment: {', '.join(given) or 'none, so the defaults hold'}")
    for name in sorted(environment):
        if name not in known and name.startswith(PREFIXES):
            for meant in difflib.get_close_matches(name, known - set(given), 1, NEAR):
                yield warning(SUBJECT, f"{name} is no setting, and has no effect", f"did you mean {meant}?")


def _token(settings: Settings) -> Iterator[Line]:
    if settings.telegram_bot_token is None:
        text = "TELEGRAM_BOT_TOKEN is not set: `veilrun invoke` and `veilrun bench` work, a bot does not"
        yield warning(SUBJECT, text, "put the token there that BotFather gave you")


def _secret(settings: Settings) -> Iterator[Line]:
    given = settings.telegram_webhook_secret
    if given is None:
        return
    bits = strength_bits(given.get_secret_value())
    text = f"TELEGRAM_WEBHOOK_SECRET can be guessed (about {bits:.0f} bits): whoever does commands the bot as any user"
    if bits < WEAK_BITS:
        yield fault(SUBJECT, text, NEW_SECRET)
    elif bits < STRONG_BITS:
        yield warning(SUBJECT, text, NEW_SECRET)


def strength_bits(secret: str) -> float:
    """At most so many bits a guesser has to try: by how its characters are spread, as if no dictionary had it."""
    counts = Counter(secret)
    spread = -sum(count / len(secret) * math.log2(count / len(secret)) for count in counts.values())
    return spread * len(secret)


def _api(settings: Settings) -> Iterator[Line]:
    parts = urlsplit(settings.telegram_api_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        yield fault(SUBJECT, "TELEGRAM_API_URL is no address", f"write one like https://{OFFICIAL}")
    elif parts.scheme == "http" and not _is_private(parts.hostname):
        text = "TELEGRAM_API_URL is http://: the bot's token crosses the network in the clear"
        yield fault(SUBJECT, text, "write https://, or run that server on this machine")


def _public_url(settings: Settings) -> Iterator[Line]:
    url = settings.public_url
    if not url:
        text = "VEILRUN_PUBLIC_URL is not set: nobody registers the webhook but `veilrun webhook set`"
        if settings.telegram_bot_token is not None:
            yield ok(SUBJECT, text)
        return
    problem = _problem_of(url, is_official=urlsplit(settings.telegram_api_url).hostname == OFFICIAL)
    if problem is None:
        yield ok(SUBJECT, f"VEILRUN_PUBLIC_URL leads updates to {url.rstrip('/')}{PATH}")
    else:
        yield fault(SUBJECT, f"VEILRUN_PUBLIC_URL {problem[0]}", problem[1])


def _problem_of(url: str, *, is_official: bool) -> tuple[str, str] | None:
    """What is wrong with the public address, and the cure. A Bot API server of one's own takes any http address."""
    example = "write one like https://bot.example.org"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no address", example
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is no address", example
    if parts.username or parts.password or parts.query or parts.fragment:
        return "holds more than scheme, host, port and path", example
    if parts.path.rstrip("/").endswith(PATH):
        return f"ends in {PATH}, which is added to it", "leave the path out"
    if not is_official:
        return None
    if parts.scheme != "https":
        return (
            "is http://, and Telegram sends to https:// only",
            "put a proxy that does TLS in front, and write https://",
        )
    if port is not None and port not in WEBHOOK_PORTS:
        allowed = ", ".join(map(str, WEBHOOK_PORTS))
        return f"has port {port}, and Telegram sends to {allowed} only", "let the proxy listen on one of them"
    if _is_private(parts.hostname) or parts.hostname.endswith(HIDDEN_SUFFIXES):
        return "is an address that Telegram cannot reach", "write the public one of your proxy"
    return None


def _is_private(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return not address.is_global


def _listening(settings: Settings) -> Iterator[Line]:
    if settings.host in ("0.0.0.0", "::"):
        text = f"the web process listens on every address of this machine, port {settings.port}, without TLS"
        yield ok(SUBJECT, f"{text}: let others reach it by the proxy only")


def _times(settings: Settings) -> Iterator[Line]:
    if settings.lease_seconds < 3 * settings.sweep_seconds / 2:
        text = f"VEILRUN_LEASE_SECONDS is {settings.lease_seconds:g}, VEILRUN_SWEEP_SECONDS {settings.sweep_seconds:g}"
        yield warning(SUBJECT, f"{text}: lost jobs are found late", "let the lease be two sweeps or more")
    default = Settings.model_fields["lease_seconds"].default
    if settings.lease_seconds < 3:
        text = f"VEILRUN_LEASE_SECONDS is {settings.lease_seconds:g}: a busy machine may lose jobs that it works on"
        yield warning(SUBJECT, text, f"take {default:g}, the default")
    if settings.retention_hours < 1:
        text = f"VEILRUN_RETENTION_HOURS is {settings.retention_hours:g}: results can hardly be worked on further"
        yield warning(SUBJECT, text, "take an hour or more")
