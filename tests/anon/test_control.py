"""The way into a daemon's control port, when what listens there is no daemon or does not answer."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from runtime.anon import sdk
from runtime.anon.errors import ControlFailed

NO_BINARY = Path("/nonexistent/anon")


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    writer.close()


async def _why(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> str:
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        with pytest.raises(ControlFailed) as raised:
            async with sdk.connected(NO_BINARY, server.sockets[0].getsockname()):
                pass
    return str(raised.value)


async def test_a_control_port_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "CONTROL_SECONDS", 0.3)

    async with asyncio.timeout(5):
        assert "does not answer" in await _why(_mute)


async def test_another_program_on_the_control_port_is_told() -> None:
    assert "no anon" in await _why(_other)


async def test_nothing_on_the_control_port_is_told(unused_tcp_port: int) -> None:
    with pytest.raises(ControlFailed, match="no way into"):
        async with sdk.connected(NO_BINARY, ("127.0.0.1", unused_tcp_port)):
            pass
