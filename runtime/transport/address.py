"""Which addresses may be opened at all, decided on the text alone: no name is ever resolved here."""

from urllib.parse import unquote

from yarl import URL

from runtime.transport.errors import AddressRefused

HIDDEN_SUFFIXES = (".anon", ".anyone")
"""Names of hidden services. To a daemon or resolver that does not know its suffix such a name is an ordinary host
name, and asking for it tells the resolver's owner which service is wanted."""


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
