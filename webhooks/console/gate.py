"""Who may see and do what: checks on the address asked, the page that asks, and the session."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.console.keys import SESSION_SECONDS, form_key, is_form_key, is_secret
from webhooks.console.errors import Refused, SignedOut, TooLarge, WrongHost

SECURE_COOKIE, PLAIN_COOKIE = "__Host-veilrun-console", "veilrun-console"
"""Over https no other host can set a cookie of the first name. The second is for loopback, tunnels, hidden services."""

HIDDEN_SUFFIXES = (".anon", ".anyone", ".onion")
"""Names that are keys: nobody can make them point elsewhere."""

MOST_BYTES = 64 * 1024
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would make browsers send `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Robots-Tag": "noindex, nofollow",
}


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in: the secret of the session, which the cookie holds."""

    secret: str

    @property
    def form_key(self) -> str:
        return form_key(self.secret)


class Gate:
    """The rules of one deployment. public_url: VEILRUN_PUBLIC_URL."""

    def __init__(self, public_url: str | None) -> None:
        found = urlsplit(public_url or "")
        self._public_host = found.netloc.lower()
        self._public_origin = f"{found.scheme}://{found.netloc}".lower() if found.netloc else None

    def check_host(self, request: Request) -> None:
        """Let no foreign name reach us: its owner's pages would count as ours (DNS rebinding). Raises: WrongHost."""
        host = request.headers.get("host", "").lower()
        name = _name_in(f"//{host}")
        if host == self._public_host or name == "localhost" or name.endswith(HIDDEN_SUFFIXES) or _is_address(name):
            return
        raise WrongHost

    def check_origin(self, request: Request) -> bool:
        """Whether the form comes over https; it must come from a page of ours. Raises: Refused."""
        origin = request.headers.get("origin", "").lower()
        host = request.headers.get("host", "").lower()
        is_public = origin == self._public_origin
        is_own = host != self._public_host and origin in (f"http://{host}", f"https://{host}")
        if not (is_public or is_own) or request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise Refused
        return origin.startswith("https://")

    def visitor(self, request: Request) -> Visitor:
        """Who the cookie says it is; whether that session lasts is for the database to say. Raises: SignedOut."""
        for name in (SECURE_COOKIE, PLAIN_COOKIE):
            secret = request.cookies.get(name, "")
            if is_secret(secret):
                return Visitor(secret)
        raise SignedOut

    def check_form(self, visitor: Visitor, form: Mapping[str, list[str]]) -> None:
        """Raises: Refused unless the form was made for this session."""
        if not is_form_key(visitor.secret, form.get("key", [""])[0]):
            raise Refused


def admit(response: Response, secret: str, *, is_https: bool) -> None:
    """Let the browser keep the session."""
    response.set_cookie(
        SECURE_COOKIE if is_https else PLAIN_COOKIE,
        secret,
        max_age=int(SESSION_SECONDS),
        path="/" if is_https else "/console",
        secure=is_https,
        httponly=True,
        samesite="lax",  # a link in a dashboard or a chat finds its reader signed in; forms are checked apart
    )


def dismiss(response: Response) -> None:
    """Let the browser forget the session."""
    response.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    response.delete_cookie(PLAIN_COOKIE, path="/console", httponly=True, samesite="lax")


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form. Raises: TooLarge, Refused."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise TooLarge
    try:
        return parse_qs(body.decode("utf-8"), keep_blank_values=True, max_num_fields=2000)
    except ValueError as error:
        raise Refused from error


def guarded(app: ASGIApp) -> ASGIApp:
    """Every answer of `app` with the headers that keep it to itself; nothing is kept unless it says so."""
    fixed = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *fixed]
                if not any(name == b"cache-control" for name, _ in headers):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, send_guarded)

    return application


def _name_in(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
