"""The sandbox misbehaves as planned, and the journal tells."""

import aiohttp
import pytest
from telegram import Bot
from telegram.error import Forbidden, NetworkError, RetryAfter, TimedOut
from telegram.request import HTTPXRequest

from runtime.sandbox.telegram import Chat, Fault, FaultPlan, SandboxTelegram
from tests.sandbox.telegram.conftest import TOKEN
from tests.sandbox.telegram.samples import picture


async def test_faults_are_chosen_by_method_chat_and_count(sandbox: SandboxTelegram, bot: Bot) -> None:
    alice, bob = sandbox.user("Alice"), sandbox.user("Bob")
    sandbox.faults.add(Fault.too_many_requests(2, method="sendmessage", chat_id=alice.id, times=2))

    await bot.send_message(bob.id, "fine")
    await bot.send_chat_action(alice.id, "typing")
    for _ in range(2):
        with pytest.raises(RetryAfter):
            await bot.send_message(alice.id, "x")
    await bot.send_message(alice.id, "now")
    assert [message.text for message in alice.private_chat.messages] == ["now"]


async def test_a_fault_can_wait_for_its_turn(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    sandbox.faults.add(Fault.blocked(method="sendMessage", after=1))
    await bot.send_message(chat.id, "fine")
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(chat.id, "x")


async def test_a_bad_gateway_answers_with_a_web_page(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    sandbox.faults.add(Fault("bad_gateway"))
    with pytest.raises(NetworkError):
        await bot.send_message(chat.id, "x")
    assert chat.messages == []


async def test_an_answer_cut_in_mid_body_leaves_the_message_sent(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat
) -> None:
    sandbox.faults.add(Fault("cut"))
    with pytest.raises(NetworkError):
        await bot.send_message(chat.id, "sent all the same")
    assert [message.text for message in chat.messages] == ["sent all the same"]


@pytest.mark.parametrize(("executed", "shown"), [(False, 0), (True, 1)])
async def test_a_hanging_call_may_or_may_not_have_been_executed(
    sandbox: SandboxTelegram, chat: Chat, executed: bool, shown: int
) -> None:
    sandbox.faults.add(Fault("hang", method="sendMessage", executed=executed))
    impatient = Bot(TOKEN, base_url=f"{sandbox.base_url}/bot", request=HTTPXRequest(read_timeout=0.2))
    async with impatient:
        with pytest.raises(TimedOut):
            await impatient.send_message(chat.id, "x")
    assert len(chat.messages) == shown
    assert sandbox.journal.calls("sendMessage")[0].status == 0


async def test_a_slow_call_is_only_late(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    sandbox.faults.add(Fault("slow", seconds=0.1))
    await bot.send_message(chat.id, "x")
    assert sandbox.journal.calls("sendMessage")[0].seconds >= 0.1


async def test_downloads_can_fail_too(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    document = chat.send_document(b"hello", "a.txt").document
    assert document is not None
    file = await bot.get_file(document["file_id"])
    sandbox.faults.add(Fault("error", method="download", code=500, description="Internal Server Error"))
    with pytest.raises(NetworkError):
        await file.download_as_bytearray()
    assert bytes(await file.download_as_bytearray()) == b"hello"


def test_the_same_seed_makes_the_same_trouble() -> None:
    def struck(seed: int) -> list[bool]:
        plan = FaultPlan(seed)
        plan.add(Fault("slow", times=None, probability=0.5))
        return [plan.strike("sendMessage", 1) is not None for _ in range(40)]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)


async def test_faults_are_armed_shown_and_cleared_over_http(sandbox: SandboxTelegram, bot: Bot, chat: Chat) -> None:
    url = f"{sandbox.base_url}/sandbox/faults"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json=[{"kind": "error", "retry_after": 5, "method": "sendMessage"}]) as response:
            assert response.status == 201
            assert (await response.json())[0]["left"] == 1
        with pytest.raises(RetryAfter):
            await bot.send_message(chat.id, "x")
        async with session.post(url, json={"kind": "meteor"}) as response:
            assert response.status == 400
        async with session.post(url, json={"kind": "slow", "colour": "red"}) as response:
            assert "colour" in (await response.json())["error"]
        async with session.delete(url) as response:
            assert await response.json() == []
        async with session.get(f"{sandbox.base_url}/sandbox/journal") as response:
            assert [entry["method"] for entry in await response.json()] == ["getMe", "sendMessage"]


async def test_the_journal_shows_parameters_and_file_sizes_but_no_bytes(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat
) -> None:
    content = picture()
    await bot.send_photo(chat.id, content, caption="sea")
    entry = await sandbox.journal.wait_for("sendPhoto")
    assert entry.parameters["caption"] == "sea"
    assert entry.files == {"photo": len(content)}
    assert entry.ok
    assert entry.result["caption"] == "sea"
    assert entry.chat_id() == chat.id


async def test_waiting_for_a_call_that_never_comes_names_those_that_did(sandbox: SandboxTelegram, bot: Bot) -> None:
    with pytest.raises(TimeoutError, match="getMe"):
        await sandbox.journal.wait_for("sendPhoto", timeout=0.05)
