"""A connection opened anywhere but in the transports must be known here: a forgotten session is a leak."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "webhooks", "plugins", "db")

OPENING_MODULES = frozenset(
    {
        *("aiohttp_socks", "curl_cffi", "ftplib", "grpc", "http.client", "httpcore", "httplib2", "httpx", "niquests"),
        *("pycurl", "python_socks", "requests", "smtplib", "socks", "socksio", "stem", "telegram.request", "telnetlib"),
        *("tornado", "urllib.request", "urllib3", "websocket", "websockets", "xmlrpc"),
    }
)
OPENING_NAMES = frozenset(
    {
        *("ClientSession", "HTTPXRequest", "ProxyConnector", "TCPConnector", "UnixConnector", "create_connection"),
        *("create_datagram_endpoint", "create_unix_connection", "getaddrinfo", "gethostbyname", "gethostbyname_ex"),
        *("getnameinfo", "open_connection", "open_unix_connection", "sock_connect", "ws_connect"),
    }
)

WHOLE_FOLDERS = {
    "runtime/transport": "the one place that opens connections to backends",
    "runtime/leaks": "leaks on purpose, in a network of its own",
    "runtime/gate": "on the GPU host, beside the ComfyUI that it stands in front of",
    "runtime/sandbox": "stands in for Telegram and ComfyUI; no part of a deployment",
}
KNOWN = {
    "runtime/anon/sdk.py": {"open_connection", "stem"},  # the control port of our daemon
    "runtime/chat/anon_wire.py": {"httpx", "socksio"},  # the Bot API by the exit port of our daemon
    "runtime/chat/refusals.py": {"httpx"},  # its errors only
    "runtime/chat/wire.py": {"HTTPXRequest", "httpx", "telegram.request"},  # the Bot API directly, by choice
    "runtime/cli/demo.py": {"ClientSession"},  # the web process on loopback
    "runtime/doctor/telegram.py": {"httpx"},  # its errors only
    "runtime/functions/callbacks.py": {"ClientSession", "TCPConnector"},  # addresses that callers gave
    "runtime/testing/machine.py": {"ClientSession"},  # an author's own test, on loopback
}
"""Module -> what it uses that could open a connection. None of these is given the address of a backend."""


def test_only_the_transports_open_connections_to_backends() -> None:
    found = {path: ways for path in modules() if (ways := set(ways_out(ast.parse((ROOT / path).read_text("utf-8")))))}

    assert found == KNOWN


def test_the_search_sees_every_spelling() -> None:
    source = """
import aiohttp, httpx as client
import urllib.request
from http import client
from aiohttp import ClientSession as Session
from asyncio import open_connection
loop.create_connection(protocol)
getattr(aiohttp, "TCPConnector")
"""
    found = set(ways_out(ast.parse(source)))

    assert found == {
        *("httpx", "urllib.request", "http.client"),
        *("ClientSession", "open_connection", "create_connection", "TCPConnector"),
    }


def modules() -> Iterator[str]:
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            path = file.relative_to(ROOT).as_posix()
            if not path.startswith(tuple(f"{whole}/" for whole in WHOLE_FOLDERS)):
                yield path


def ways_out(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (way for alias in names if (way := opening(alias.name)))
            case ast.ImportFrom(module=str(module), names=names):
                full = [f"{module}.{alias.name}" for alias in names]
                yield from {way for name in (module, *full) if (way := opening(name))}
                yield from (alias.name for alias in names if alias.name in OPENING_NAMES)
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.Constant(value=str(name)) if name in OPENING_NAMES:
                yield name


def opening(module: str) -> str | None:
    """The entry of OPENING_MODULES that `module` is or lies in."""
    return next((known for known in OPENING_MODULES if module == known or module.startswith(f"{known}.")), None)
