"""Webhook delivery keeps the official server's order, retries and patience."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from telegram import Bot

from runtime.sandbox.telegram import Chat, Fault, ManualClock, SandboxTelegram
from tests.sandbox.telegram.conftest import TOKEN
from tests.sandbox.telegram.receiver import Receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as receiver:
        yield receiver


@pytest.fixture
async def slow_time(clock: ManualClock) -> AsyncIterator[SandboxTelegram]:
    async with SandboxTelegram(TOKEN, clock=clock) as sandbox:
        yield sandbox


def client(sandbox: SandboxTelegram) -> Bot:
    return Bot(TOKEN, base_url=f"{sandbox.base_url}/bot")


async def test_an_update_arrives_with_the_secret_header_as_json(bot: Bot, chat: Chat, receiver: Receiver) -> None:
    await bot.set_webhook(receiver.url, secret_token="s3cret-token")

    chat.send("/f an astronaut")
    (update,) = await receiver.count(1)

    assert update["message"]["text"] == "/f an astronaut"
    assert receiver.headers[0]["X-Telegram-Bot-Api-Secret-Token"] == "s3cret-token"
    assert receiver.headers[0]["Content-Type"] == "application/json"


async def test_without_a_secret_there_is_no_header(bot: Bot, chat: Chat, receiver: Receiver) -> None:
    await bot.set_webhook(receiver.url)
    chat.send("hello")
    await receiver.count(1)
    assert "X-Telegram-Bot-Api-Secret-Token" not in receiver.headers[0]


async def test_connections_are_kept_alive(bot: Bot, chat: Chat, receiver: Receiver) -> None:
    await bot.set_webhook(receiver.url)
    for number in range(5):
        chat.send(f"message {number}")
    await receiver.count(5)
    assert len(receiver.peers) == 1


async def test_what_was_said_before_the_webhook_is_delivered_after_it(bot: Bot, chat: Chat, receiver: Receiver) -> None:
    chat.send("early")
    await bot.set_webhook(receiver.url)
    await receiver.count(1)
    assert receiver.texts() == ["early"]


async def test_pending_updates_can_be_dropped(bot: Bot, chat: Chat, receiver: Receiver) -> None:
    chat.send("forget me")
    await bot.set_webhook(receiver.url, drop_pending_updates=True)
    chat.send("keep me")
    await receiver.count(1)
    assert receiver.texts() == ["keep me"]


async def test_one_chat_waits_for_its_acknowledgement_while_others_go_on(
    sandbox: SandboxTelegram, bot: Bot, receiver: Receiver
) -> None:
    alice, bob = sandbox.user("Alice").private_chat, sandbox.user("Bob").private_chat
    await bot.set_webhook(receiver.url)
    alice.send("warm up")
    await receiver.count(1)
    gate = receiver.hold(alice.id)

    alice.send("first")
    alice.send("second")
    bob.send("meanwhile")
    await receiver.count(3)

    assert sorted(receiver.texts()[1:]) == ["first", "meanwhile"]
    gate.set()
    await receiver.count(4)
    assert receiver.texts()[-1] == "second"


async def test_callbacks_are_ordered_by_user_not_by_chat(
    sandbox: SandboxTelegram, bot: Bot, receiver: Receiver
) -> None:
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup

    alice = sandbox.user("Alice").private_chat
    button = InlineKeyboardMarkup([[InlineKeyboardButton("Again", callback_data="again:1")]])
    await bot.send_message(alice.id, "done", reply_markup=button)
    await bot.set_webhook(receiver.url)
    alice.send("warm up")
    await receiver.count(1)
    receiver.hold(alice.id)

    alice.send("unacknowledged")
    alice.press(alice.messages[0], "Again")
    await receiver.count(3)

    assert receiver.arrived[-1]["callback_query"]["data"] == "again:1"


async def test_at_most_max_connections_requests_are_under_way(
    sandbox: SandboxTelegram, bot: Bot, receiver: Receiver
) -> None:
    await bot.set_webhook(receiver.url, max_connections=3)
    people = [sandbox.user(f"Person{number}").private_chat for number in range(8)]
    people[0].send("warm up")
    await receiver.count(1)
    gates = [receiver.hold(person.id) for person in people]

    for person in people:
        person.send("hello")
    await receiver.count(4)
    for gate in gates:
        gate.set()
    await receiver.count(9)

    assert receiver.most_under_way == 3


async def test_with_no_success_for_10_seconds_only_one_request_is_under_way(
    sandbox: SandboxTelegram, bot: Bot, receiver: Receiver
) -> None:
    people = [sandbox.user(f"Person{number}").private_chat for number in range(4)]
    gates = [receiver.hold(person.id) for person in people]
    for person in people:
        person.send("hello")
    await bot.set_webhook(receiver.url)
    await receiver.count(1)

    assert len(receiver.arrived) == 1
    for gate in gates:
        gate.set()
    await receiver.count(4)


async def test_a_failed_update_is_tried_at_once_then_after_2_4_8_seconds(
    slow_time: SandboxTelegram, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.reply = lambda update: web.Response(status=500)
    slow_time.user("Alice").private_chat.send("hello")
    async with client(slow_time) as bot:
        await bot.set_webhook(receiver.url)
        waits = []
        await receiver.count(2)
        for attempt in range(3, 10):
            seconds = await clock.next_sleeper()
            waits.append(round(seconds))
            clock.advance(seconds)
            await receiver.count(attempt)
        info = await bot.get_webhook_info()

    assert waits[:5] == [2, 4, 8, 16, 32]
    assert all(60 <= wait <= 120 for wait in waits[5:])
    assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
    assert info.pending_update_count == 1
    assert {update["update_id"] for update in receiver.arrived} == {receiver.arrived[0]["update_id"]}


async def test_retry_after_of_the_bot_is_honoured(
    slow_time: SandboxTelegram, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.reply = lambda update: web.Response(status=503, headers={"Retry-After": "17"})
    slow_time.user("Alice").private_chat.send("hello")
    async with client(slow_time) as bot:
        await bot.set_webhook(receiver.url)
        assert await clock.next_sleeper() == pytest.approx(17)

        receiver.reply = lambda update: web.Response()
        clock.advance(17)
        await receiver.count(2)


async def test_an_expired_callback_is_dropped_and_the_next_one_goes_out(
    slow_time: SandboxTelegram, clock: ManualClock, receiver: Receiver
) -> None:
    from telegram import InlineKeyboardButton, InlineKeyboardMarkup

    chat = slow_time.user("Alice").private_chat
    receiver.reply = lambda update: web.Response(status=502)
    async with client(slow_time) as bot:
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Old", callback_data="old")]])
        await bot.send_message(chat.id, "menu", reply_markup=keyboard)
        chat.press(chat.messages[0], "Old")
        await bot.set_webhook(receiver.url)
        for attempt in range(2, 8):
            await receiver.count(attempt)
            clock.advance(await clock.next_sleeper())
        await slow_time.until(lambda: slow_time.pending_updates == 0)
        assert clock.time() - 1_800_000_000 <= 150


async def test_a_connection_refused_is_remembered_and_retried(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat, receiver: Receiver
) -> None:
    chat.send("hello")
    await bot.set_webhook("http://127.0.0.1:9/nobody")
    await sandbox.until(lambda: sandbox.last_webhook_error != "")
    assert (await bot.get_webhook_info()).last_error_message == "Connection refused"

    await bot.set_webhook(receiver.url)
    await receiver.count(1)


async def test_a_method_in_the_answer_is_performed(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat, receiver: Receiver
) -> None:
    receiver.reply = lambda update: web.json_response(
        {"method": "sendMessage", "chat_id": update["message"]["chat"]["id"], "text": "got it"}
    )
    await bot.set_webhook(receiver.url)
    chat.send("hello")
    reply = await chat.wait_for(lambda message: message.from_bot)
    assert reply.text == "got it"


@pytest.mark.parametrize("method", ["getMe", "setWebhook", "deleteWebhook", "close", "logOut"])
async def test_some_methods_are_not_performed_from_an_answer(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat, receiver: Receiver, method: str
) -> None:
    receiver.reply = lambda update: web.json_response({"method": method})
    await bot.set_webhook(receiver.url)
    chat.send("one")
    chat.send("two")
    await receiver.count(2)
    assert len(sandbox.journal.calls(method)) == (1 if method == "setWebhook" else 0) + (method == "getMe")


async def test_an_acknowledged_update_can_come_twice_when_told_so(
    sandbox: SandboxTelegram, bot: Bot, chat: Chat, receiver: Receiver
) -> None:
    sandbox.faults.add(Fault("duplicate"))
    await bot.set_webhook(receiver.url)
    chat.send("hello")
    first, second = await receiver.count(2)
    assert first == second


async def test_updates_can_be_reordered_across_chats_but_not_within_one(
    sandbox: SandboxTelegram, bot: Bot, receiver: Receiver
) -> None:
    alice, bob = sandbox.user("Alice").private_chat, sandbox.user("Bob").private_chat
    sandbox.faults.add(Fault("reorder", chat_id=alice.id))
    await bot.set_webhook(receiver.url)

    alice.send("alice 1")
    alice.send("alice 2")
    bob.send("bob 1")
    await receiver.count(3)

    assert receiver.texts() == ["bob 1", "alice 1", "alice 2"]


async def test_410_for_23_hours_removes_the_webhook(
    slow_time: SandboxTelegram, clock: ManualClock, receiver: Receiver
) -> None:
    receiver.reply = lambda update: web.Response(status=410)
    chat = slow_time.user("Alice").private_chat
    async with client(slow_time) as bot:
        await bot.set_webhook(receiver.url)
        chat.send("hello")
        await receiver.count(2)
        await clock.next_sleeper()
        clock.advance(23 * 3600 + 1)
        await receiver.count(3)
        await slow_time.until(lambda: slow_time.webhook_url is None)
