"""What Telegram, a flaky proxy or a stranger may send to the webhook, and what they get for it."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest
import structlog

from runtime.chat.webhook import PATH
from tests.webhooks.receiver import BOT_ID, DEADLINE, HEADERS, SECRET, call, message, rows
from webhooks.group_commit import GroupCommit
from webhooks.telegram import LARGEST_BODY, REMEMBER_MALFORMED, TelegramWebhook

AUTHORIZED = (b"x-telegram-bot-api-secret-token", SECRET.encode())

MALFORMED = {
    "empty": b"",
    "no JSON": b"update_id=5",
    "cut off": b'{"update_id": 5, "message": {"te',
    "trailing words": b'{"update_id": 5} and more',
    "null": b"null",
    "a list": b'[{"update_id": 5}]',
    "no number": b'{"message": {"chat": {"id": 5}}}',
    "number null": b'{"update_id": null}',
    "number as text": b'{"update_id": "5"}',
    "number with a point": b'{"update_id": 5.5}',
    "number true": b'{"update_id": true}',
    "number below 0": b'{"update_id": -1}',
    "number too large": b'{"update_id": 9223372036854775808}',
    "number endless": b'{"update_id": ' + b"9" * 10_000 + b"}",
    "nested without end": b'{"update_id": 5, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not UTF-8": b'{"update_id": 5, "x": "\xff\xfe"}',
    "not UTF-8 in a field we read": b'{"update_id": 5, "message": {"text": "\xc3"}}',
    "UTF-16": '{"update_id": 5}'.encode("utf-16"),
    "NUL bytes": b'{"update_id": 5}\x00\x00',
    "NaN": b'{"update_id": 5, "x": NaN}',
}

ODD = {
    "nothing else": b'{"update_id": 5}',
    "chat id as text": b'{"update_id": 5, "message": {"chat": {"id": "7"}}}',
    "chat id too large": b'{"update_id": 5, "message": {"chat": {"id": 9223372036854775808}}}',
    "chat id endless": b'{"update_id": 5, "message": {"chat": {"id": ' + b"9" * 5000 + b"}}}",
    "message as text": b'{"update_id": 5, "message": "hello"}',
    "message null": b'{"update_id": 5, "message": null}',
    "unknown kind": b'{"update_id": 5, "telepathy": {"chat": {"id": 7}}}',
    "escaped NUL": b'{"update_id": 5, "message": {"chat": {"id": true}, "text": "\\u0000"}}',
    "lone surrogate": b'{"update_id": 5, "x": "\\ud800"}',
}


async def test_an_update_is_in_the_table_when_its_acknowledgement_comes(receiver, table) -> None:
    body = message(100, chat_id=-42)

    status, headers = await receiver.post(body)

    assert status == 200
    assert headers["Content-Length"] == "0"  # no method to call, nothing for Telegram to misread
    assert await rows(table) == [(BOT_ID, 100, -42, body)]
    assert [update.update_id for update in receiver.handed_over] == [100]


async def test_a_callback_takes_effect_in_the_order_of_its_user(receiver, table) -> None:
    query = {"id": "1", "from": {"id": 77}, "message": {"chat": {"id": -42}, "message_id": 1}, "data": "again:1"}

    await receiver.status(json.dumps({"update_id": 3, "callback_query": query}).encode())

    assert (await rows(table))[0][2] == 77


@pytest.mark.parametrize(
    "secret", [None, "", "wrong", SECRET[:-1], SECRET + "x", SECRET.upper(), "ü", "x" * 7000], ids=str
)
async def test_without_the_secret_nothing_is_stored(receiver, table, secret) -> None:
    headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}

    async with receiver.session.post(receiver.url + PATH, data=message(1), headers=headers) as answer:
        assert answer.status == 401

    assert await rows(table) == []


async def test_without_the_secret_the_body_is_not_even_read(database) -> None:
    webhook = TelegramWebhook(BOT_ID, SECRET, GroupCommit(database.dsn, lambda _: None))

    answered = await call(webhook, [], (b"x-telegram-bot-api-secret-token", b"\xff\x00"))

    assert answered.status == 401
    assert answered.received == 0


def test_a_receiver_without_a_secret_is_refused(database) -> None:
    with pytest.raises(ValueError, match="anybody"):
        TelegramWebhook(BOT_ID, "", GroupCommit(database.dsn, lambda _: None))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_is_taken(receiver, method) -> None:
    async with receiver.session.request(method, receiver.url + PATH, headers=HEADERS) as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "POST"


async def test_a_body_above_1_mib_is_refused_by_its_length_alone(database) -> None:
    webhook = TelegramWebhook(BOT_ID, SECRET, GroupCommit(database.dsn, lambda _: None))

    for length in (str(LARGEST_BODY + 1).encode(), b"9" * 5000):
        answered = await call(webhook, [], AUTHORIZED, (b"content-length", length))

        assert answered.status == 413
        assert answered.received == 0


async def test_a_body_above_1_mib_is_refused_over_http(receiver, table) -> None:
    async def chunks():
        for _ in range(20):
            yield b" " * 65536

    async with receiver.session.post(receiver.url + PATH, data=b" " * (LARGEST_BODY + 1), headers=HEADERS) as answer:
        assert answer.status == 413
    async with receiver.session.post(receiver.url + PATH, data=chunks(), headers=HEADERS) as answer:
        assert answer.status == 413
    assert await receiver.status(message(1)) == 200
    assert len(await rows(table)) == 1


async def test_a_body_of_exactly_1_mib_is_taken(receiver) -> None:
    body = message(1)

    assert await receiver.status(body + b" " * (LARGEST_BODY - len(body))) == 200


async def test_a_length_that_lies_does_not_let_a_large_body_in(database) -> None:
    webhook = TelegramWebhook(BOT_ID, SECRET, GroupCommit(database.dsn, lambda _: None))
    part = {"type": "http.request", "body": b" " * (LARGEST_BODY // 2), "more_body": True}

    answered = await call(webhook, [part] * 5, AUTHORIZED, (b"content-length", b"+5"))

    assert answered.status == 413
    assert answered.received == 3


async def test_a_body_in_many_chunks_is_put_together(receiver, table) -> None:
    body = message(1, text="ä" * 500)

    async def bytewise():
        for byte in body:
            yield bytes([byte])

    async with receiver.session.post(receiver.url + PATH, data=bytewise(), headers=HEADERS) as answer:
        assert answer.status == 200
    assert (await rows(table))[0][3] == body


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_no_update_gets_400_once_and_200_when_it_comes_again(receiver, table, body) -> None:
    with structlog.testing.capture_logs() as logged:
        assert await receiver.status(body) == 400
        assert await receiver.status(body) == 200
        assert await receiver.status(body) == 200

    assert await rows(table) == []
    assert [set(entry) for entry in logged] == [{"event", "log_level", "sha256", "size"}]
    assert logged[0]["size"] == len(body)


async def test_what_a_malformed_update_says_is_never_logged(receiver, logged) -> None:
    await receiver.status(b'{"update_id": "my secret prompt')

    assert logged
    assert "secret prompt" not in repr(logged)


async def test_a_flood_of_malformed_updates_does_not_fill_the_memory(database, logged) -> None:
    webhook = TelegramWebhook(BOT_ID, SECRET, GroupCommit(database.dsn, lambda _: None))

    for number in range(REMEMBER_MALFORMED + 500):
        body = {"type": "http.request", "body": f"no JSON {number}".encode()}
        assert (await call(webhook, [body], AUTHORIZED)).status == 400

    assert len(webhook._malformed) == REMEMBER_MALFORMED
    newest = {"type": "http.request", "body": f"no JSON {number}".encode()}
    assert (await call(webhook, [newest], AUTHORIZED)).status == 200


@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
async def test_an_update_of_an_odd_shape_is_stored_all_the_same(receiver, table, body) -> None:
    assert await receiver.status(body) == 200
    assert await rows(table) == [(BOT_ID, 5, None, body)]


async def test_the_same_update_again_is_acknowledged_and_handed_over_once(receiver, table) -> None:
    for _ in range(3):
        assert await receiver.status(message(9)) == 200

    assert len(await rows(table)) == 1
    assert len(receiver.handed_over) == 1


async def test_another_bots_update_of_the_same_number_is_another_update(receiver, table) -> None:
    await table.execute("insert into updates (bot_id, update_id, body) values (1, 9, 'x')")

    assert await receiver.status(message(9)) == 200

    assert [row[0] for row in await rows(table)] == [1, BOT_ID]
    assert len(receiver.handed_over) == 1


async def test_a_client_that_leaves_in_mid_body_leaves_nothing_behind(receiver, table) -> None:
    address = urlsplit(receiver.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Telegram-Bot-Api-Secret-Token: {SECRET}\r\nContent-Length: 5000\r\n\r\n"
    )
    writer.write(head.encode() + b'{"update_id": 5')
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert await receiver.status(message(6)) == 200
    assert [row[1] for row in await rows(table)] == [6]


async def test_a_disconnect_in_mid_body_gets_no_answer(database) -> None:
    webhook = TelegramWebhook(BOT_ID, SECRET, GroupCommit(database.dsn, lambda _: None))
    events = [
        {"type": "http.request", "body": b'{"update_id"', "more_body": True},
        {"type": "http.disconnect"},
    ]

    assert (await call(webhook, events, AUTHORIZED)).messages == []


async def test_headers_in_any_case_and_keep_alive_as_telegram_sends_them(receiver, table) -> None:
    address = urlsplit(receiver.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for number in (1, 2):
        body = message(number)
        head = (
            f"POST {PATH} HTTP/1.1\r\nhOsT: x\r\nx-TELEGRAM-bot-api-secret-TOKEN: {SECRET}\r\n"
            f"CONTENT-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        async with asyncio.timeout(DEADLINE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.close()
    await writer.wait_closed()

    assert len(await rows(table)) == 2
