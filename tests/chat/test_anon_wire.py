"""TELEGRAM_VIA=anon: every call to the Bot API leaves by the exit port of anon, and by nothing else."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from yarl import URL

from runtime.anon.state import AnonState, write_state
from runtime.chat.errors import NotSent
from runtime.chat.gateway import TelegramGateway, open_gateway
from runtime.chat.messages import Photo, Place
from runtime.leaks.socks import Answer, Drop, Refuse, RefuseAuthentication, Relay, ScriptedSocks
from runtime.settings import Settings
from tests.chat.conftest import TOKEN, picture

NAME = "bot-api.telegram.test"


@pytest.fixture
async def socks() -> AsyncIterator[ScriptedSocks]:
    async with ScriptedSocks() as proxy:
        yield proxy


@pytest.fixture
async def anon_dir(tmp_path: Path, socks: ScriptedSocks) -> Path:
    folder = tmp_path / "anon"
    folder.mkdir()
    nowhere = ("127.0.0.1", 1)
    write_state(folder, AnonState(nowhere, nowhere, "0.4.9.11-live", 100, "Done", ("127.0.0.1", socks.port)))
    return folder


@pytest.fixture
async def through_anon(tmp_path: Path, anon_dir: Path) -> AsyncIterator[TelegramGateway]:
    settings = Settings(
        telegram_bot_token=TOKEN, telegram_api_url=f"http://{NAME}", telegram_via="anon", state_dir=tmp_path
    )
    async with open_gateway(settings) as gateway:
        yield gateway


async def test_the_exit_gets_the_name_and_no_resolver_is_asked(
    through_anon, socks, sandbox, alice, monkeypatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    asked: list[object] = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **_: asked.append(arguments))
    socks.answer = Relay(URL(sandbox.base_url).port)
    alice.private_chat.send("/start")

    await through_anon.send_photo(Place(alice.id), Photo(picture()), "teal")

    assert alice.private_chat.messages[-1].caption == "teal"
    assert {(request.host, request.is_name) for request in socks.requests} == {(NAME, True)}
    assert asked == []


@pytest.mark.parametrize("answer", [Refuse(0x04), Drop(), RefuseAuthentication()])
async def test_what_anon_refuses_or_drops_was_not_sent(through_anon, socks, alice, answer: Answer) -> None:
    socks.answer = answer

    with pytest.raises(NotSent):
        await through_anon.send_text(Place(alice.id), "hello")


async def test_while_anon_is_away_nothing_is_sent(through_anon, anon_dir, socks, alice) -> None:
    (anon_dir / "state.json").unlink()

    with pytest.raises(NotSent):
        await through_anon.send_text(Place(alice.id), "hello")

    assert socks.requests == []


async def test_a_daemon_that_listens_elsewhere_after_a_restart_is_found_and_the_old_way_is_closed(
    through_anon, anon_dir, socks, sandbox, alice
) -> None:
    async with ScriptedSocks(Relay(URL(sandbox.base_url).port)) as other:
        socks.answer = other.answer
        await through_anon.send_text(Place(alice.id), "here")
        nowhere = ("127.0.0.1", 1)
        write_state(anon_dir, AnonState(nowhere, nowhere, "0.4.9.11-live", 100, "Done", ("127.0.0.1", other.port)))

        await through_anon.send_text(Place(alice.id), "there")

        assert len(other.requests) == 1
        async with asyncio.timeout(5):
            while socks.open_connections:  # noqa: ASYNC110 - the other side of a socket tells nobody here
                await asyncio.sleep(0.01)
