"""Where result webhooks may go: not where the caller could not go itself.

A name is no address: what it stands for is looked at again when the connection is opened, for that connection.
"""

import ipaddress
import re
import socket
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from runtime.functions.errors import Fault, Invalid
from runtime.functions.schema import URL_LENGTH

Policy: TypeAlias = Literal["off", "public", "any"]
"""No webhooks at all; https to public addresses; also http, and addresses of this machine and its networks."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""What no name ends in: it is an IPv4 address in one of the ways of old, such as 127.1."""

_HIDDEN = (".onion", ".anon", ".anyone")


class NotPublic(OSError):
    """The receiver's name stands for an address that is not public."""


def check_url(url: str, policy: Policy) -> None:
    """See that a webhook may be asked for with this address. Raises: Invalid."""
    problem = _problem(url, policy)
    if problem is not None:
        raise Invalid([Fault("callback_url", problem)])


def _problem(url: str, policy: Policy) -> str | None:
    if policy == "off":
        return "result webhooks are off here"
    if len(url) > URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be a URL of at most {URL_LENGTH} printable ASCII characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is no URL"
    schemes = ("https", "http") if policy == "any" else ("https",)
    if parts.scheme not in schemes or not host or port == 0:
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host"
    if parts.username is not None or parts.password is not None:
        return "must not hold a user name or password"
    if host.rstrip(".").endswith(_HIDDEN):
        return "must not be a hidden service"
    if policy == "public" and _is_literal(host) and not is_public(host):
        return "must be a public address"
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) and not _is_literal(host):
        return "must name a host, or an IP address with all its four numbers"
    return None


def guarded_socket(address: Any) -> socket.socket:
    """A socket for one address that a name was found to stand for, as aiohttp's connector asks for it; called for each
    connection, with the very address that is then connected to.

    Raises: NotPublic.
    """
    family, kind, protocol, _, (host, *_) = address
    if not is_public(host):
        raise NotPublic("the receiver is at an address that is not public")
    return socket.socket(family, kind, protocol)


def is_public(address: str) -> bool:
    """Whether the IP address is one of the public Internet, also where it stands in another one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if found.is_site_local or int(found) >> 32 == 0:  # fec0::/10, ::/96
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
