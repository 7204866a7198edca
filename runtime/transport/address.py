"""Which addresses may be opened at all, decided on the text alone: no name is ever resolved here."""

import re
from urllib.parse import unquote

from yarl import URL

from runtime.transport.errors import AddressRefused

HIDDEN_SUFFIXES = (".anon", ".anyone")
"""Names of hidden services. To a daemon or resolver that does not know its suffix such a name is an ordinary host
name, and asking for it tells the resolver's owner which service is wanted."""

FOREIGN_SUFFIXES = (".onion",)
"""Names of another network that no resolver may be asked for (RFC 7686)."""

_PLAIN_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|[0-9a-f:.]+(%[a-z0-9_.-]+)?")


def parse_address(url: str) -> URL:
    """`url` as a URL with a host. Raises: AddressRefused if it is not `http://host…` or `https://host…`."""
    try:
        parsed = URL(url)
    except ValueError as error:
        raise AddressRefused("the backend's url is not a URL; write http://host:port") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise AddressRefused("the backend's url must be http://host:port or https://host:port")
    return parsed


def is_hidden_service(url: URL) -> bool:
    """Whether the host is a hidden service of the Anyone network, however it is spelled."""
    host = unquote(url.host or "").casefold().rstrip(".")
    return host.endswith(HIDDEN_SUFFIXES)


def is_foreign_service(url: URL) -> bool:
    """Whether the host is a hidden service of a network that veilrun does not speak, however it is spelled."""
    return unquote(url.host or "").casefold().rstrip(".").endswith(FOREIGN_SUFFIXES)


def has_plain_host(url: URL) -> bool:
    """Whether the host is an IP address or a name in the letters of names: a resolver is asked for nothing else.

    What is left of an escape or a space ("x.anon%00", "x.anon ") would otherwise make a hidden service's name pass for
    an ordinary one.
    """
    return _PLAIN_HOST.fullmatch(url.raw_host or "") is not None
