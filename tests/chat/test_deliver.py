import asyncio

import pytest

from db import chats, deliveries
from runtime.chat.deliver import deliver
from runtime.chat.gateway import open_gateway
from runtime.chat.notices import owe_question
from runtime.chat.status_message import EDITS_AT_A_TIME
from runtime.sandbox.telegram import Fault
from tests.chat.conftest import picture, settings_for, until


async def test_a_notice_arrives_with_its_buttons(office, alice):
    asked = alice.private_chat.send("/help")
    buttons = [[{"text": "Yes", "data": "again:1"}]]
    delivery_id = await office.owe_and_send(
        alice.id, "notice", text="hello", reply_to=asked.message_id, thread_id=None, buttons=buttons
    )
    message = alice.private_chat.messages[-1]
    assert (message.text, message.buttons, message.reply_to) == ("hello", [["Yes"]], asked)
    assert await office.row(delivery_id) == ("sent", None)


async def test_a_notice_longer_than_a_message_is_shortened(office, alice):
    await office.owe_and_send(alice.id, "notice", text="🎨 " * 4000)
    assert alice.private_chat.messages[-1].text.endswith("…")


@pytest.mark.parametrize("text", ["", " \n "])
async def test_a_notice_without_words_is_dropped(office, alice, text):
    delivery_id = await office.owe_and_send(alice.id, "notice", text=text)
    assert (await office.row(delivery_id))[0] == "dropped"


async def test_two_processes_that_deliver_the_same_message_send_it_once(office, sandbox, alice):
    delivery_id = await office.owe(alice.id, "notice", text="hello")
    await asyncio.gather(*(office.send(delivery_id) for _ in range(8)))
    assert len(sandbox.journal.calls("sendMessage")) == 1


@pytest.mark.parametrize("fault", [Fault("cut"), Fault("bad_gateway", executed=True), Fault("hang", seconds=0.2)])
async def test_a_result_with_an_unknown_outcome_is_flagged_and_not_repeated(office, sandbox, alice, fault):
    sandbox.faults.add(fault)
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    await office.make_due()
    await office.send(delivery_id)
    assert (await office.row(delivery_id))[0] == "unknown"
    assert len(sandbox.journal.calls("sendPhoto")) == 1


async def test_the_chat_is_asked_in_the_status_message_whether_the_result_arrived(office, sandbox, alice):
    job_id = await office.job(alice.id, outputs=[picture()])
    await office.owe_and_send(alice.id, "status", job_id)
    await office.set(job_id, state="collected")
    sandbox.faults.add(Fault("bad_gateway", method="sendPhoto"))
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    (message,) = alice.private_chat.messages
    assert message.text.startswith("The result may have been sent")
    assert message.inline_keyboard[0][0]["callback_data"] == f"send:{delivery_id}"


async def test_the_chat_is_asked_by_a_new_message_where_there_is_no_status_message(office, sandbox, alice):
    sandbox.faults.add(Fault("cut", method="sendPhoto"))
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    await office.owe_and_send(alice.id, "result", job_id)
    assert alice.private_chat.messages[-1].text.startswith("The result may have been sent")


async def test_the_button_sends_the_result_and_the_question_goes_away(office, sandbox, alice):
    sandbox.faults.add(Fault("bad_gateway", method="sendPhoto"))
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    delivery_id = await office.owe_and_send(alice.id, "result", job_id)
    async with office.pool.connection() as connection:
        assert not await deliveries.reopen(connection, delivery_id, alice.id + 1), "a button of another chat"
        assert await deliveries.reopen(connection, delivery_id, alice.id)
    await office.send(delivery_id)
    assert [message.photo is not None for message in alice.private_chat.messages] == [True]
    assert (await office.get(job_id)).state == "delivered"
    async with office.pool.connection() as connection:
        assert not await deliveries.reopen(connection, delivery_id, alice.id), "it has arrived"


async def test_the_question_survives_a_broken_connection(office, sandbox, alice):
    """It is owed in the same transaction that flags the result, and an edit may be repeated."""
    job_id = await office.job(alice.id, outputs=[picture()])
    await office.owe_and_send(alice.id, "status", job_id)
    await office.set(job_id, state="collected")
    sandbox.faults.add(Fault("cut", method="sendPhoto"), Fault("bad_gateway", method="editMessageText"))
    await office.owe_and_send(alice.id, "result", job_id)
    assert "may have been sent" not in alice.private_chat.messages[0].text
    await office.make_due()
    async with office.pool.connection() as connection:
        due = [delivery_id for delivery_id, _ in await deliveries.due(connection, 60)]
    await office.send(due[0])
    assert "may have been sent" in alice.private_chat.messages[0].text


async def test_what_a_crashed_sender_left_is_asked_about(office, alice):
    job_id = await office.job(alice.id, state="collected", outputs=[picture()])
    delivery_id = await office.owe(alice.id, "result", job_id)
    async with office.pool.connection() as connection:
        await deliveries.claim(connection, delivery_id, -1)
    async with office.pool.connection() as connection:
        (lost,) = await deliveries.flag_lost(connection)
        question = await owe_question(connection, lost)
    await office.send(question)
    assert alice.private_chat.messages[-1].text.startswith("The result may have been sent")


async def test_a_message_that_surely_was_not_sent_is_tried_again(office, sandbox, database, alice):
    delivery_id = await office.owe(alice.id, "notice", text="hello")
    async with open_gateway(settings_for("http://127.0.0.1:9")) as nowhere:
        await deliver(delivery_id, pool=office.pool, gateway=nowhere)
    assert await office.row(delivery_id) == ("pending", "NotSent")
    await office.make_due()
    await office.send(delivery_id)
    assert alice.private_chat.messages[-1].text == "hello"


async def test_after_a_day_a_message_is_given_up(office, alice):
    delivery_id = await office.owe(alice.id, "notice", text="hello")
    async with office.pool.connection() as connection:
        await connection.execute("update deliveries set created_at = now() - interval '25 hours'")
    async with open_gateway(settings_for("http://127.0.0.1:9")) as nowhere:
        await deliver(delivery_id, pool=office.pool, gateway=nowhere)
    assert (await office.row(delivery_id))[0] == "failed"


async def test_a_429_keeps_its_chat_quiet_and_no_other(office, sandbox, alice):
    bob = sandbox.user("Bob")
    sandbox.faults.add(Fault.too_many_requests(30, chat_id=alice.id))
    first = await office.owe_and_send(alice.id, "notice", text="one")
    second = await office.owe_and_send(alice.id, "notice", text="two")
    await office.owe_and_send(bob.id, "notice", text="three")
    assert [message.text for message in bob.private_chat.messages] == ["three"]
    assert len(sandbox.journal.calls("sendMessage", alice.id)) == 1, "the second did not even try"
    async with office.pool.connection() as connection:
        assert 25 < await chats.quiet_seconds(connection, alice.id) <= 30
    await office.make_due()
    await office.send(first)
    await office.send(second)
    assert [message.text for message in alice.private_chat.messages] == ["one", "two"]


async def test_a_message_for_a_quiet_chat_comes_up_when_the_silence_ends(office, alice):
    delivery_id = await office.owe(alice.id, "notice", text="hello")
    async with office.pool.connection() as connection:
        await chats.hush(connection, alice.id, 2.0)
    await office.send(delivery_id)
    async with office.pool.connection() as connection:
        assert await deliveries.due(connection, 60) == []
        await connection.execute("select pg_sleep(2.1)")
    async with office.pool.connection() as connection:
        assert await deliveries.due(connection, 60) == [(delivery_id, "notice")]


async def test_a_user_who_blocks_the_bot_ends_all_jobs_of_the_chat(office, alice):
    result_of = await office.job(alice.id, state="collected", outputs=[picture()])
    waiting = await office.job(alice.id)
    running = await office.job(alice.id, state="running")
    elsewhere = await office.job(alice.id + 1)
    owed = await office.owe(alice.id, "notice", text="hello")
    alice.private_chat.block()
    delivery_id = await office.owe_and_send(alice.id, "result", result_of)
    assert await office.row(delivery_id) == ("failed", "ChatBlocked")
    assert (await office.row(owed))[0] == "dropped"
    assert ((await office.get(result_of)).state, (await office.get(result_of)).error) == ("failed", "ChatBlocked")
    assert (await office.get(waiting)).state == "cancelled"
    assert (await office.get(running)).cancel_requested
    assert (await office.get(elsewhere)).state == "queued"


async def test_what_is_owed_to_a_group_follows_it_to_its_new_id(office, sandbox, alice):
    group = sandbox.group("Painters", [alice])
    job_id = await office.job(group.id, state="collected", outputs=[picture()], message_id=5, user_id=alice.id)
    async with office.pool.connection() as connection:
        (output,) = [row async for row in await connection.execute("select id from artifacts")]
        await chats.remember(connection, group.id, alice.id, output[0])
    upgraded = group.upgrade(-1009999999999)
    delivery_id = await office.owe_and_send(group.id, "result", job_id)
    assert (await office.row(delivery_id))[0] == "sent"
    assert upgraded.messages[-1].photo is not None
    assert upgraded.messages[-1].reply_to is None
    async with office.pool.connection() as connection:
        assert await chats.last_artifact(connection, upgraded.id, alice.id) == output[0]


async def test_a_failure_explains_itself_in_the_status_message(office, alice):
    job_id = await office.job(alice.id)
    await office.owe_and_send(alice.id, "status", job_id)
    await office.set(job_id, state="failed", error="OutOfMemory", error_detail="The GPU ran out of memory")
    await office.owe_and_send(alice.id, "failure", job_id)
    (message,) = alice.private_chat.messages
    assert message.text == "⚠️ The GPU ran out of memory. Try a smaller size."
    assert message.buttons == []


@pytest.mark.parametrize(
    ("error", "detail", "told", "buttons"),
    [
        ("BackendUnreachable", "x", "⚠️ The GPU server could not be reached. Try again in a few minutes.", True),
        ("WorkerLost", None, "⚠️ The work was interrupted several times and given up. Try again.", True),
        ("SomethingNew", "The swan flew away.", "⚠️ The swan flew away", True),
        ("SomethingNew", None, "⚠️ Something went wrong, and it was not your doing. Try again later.", True),
        (None, None, "⚠️ Something went wrong, and it was not your doing. Try again later.", True),
        ("GraphProblems", "Node X is missing.", "⚠️ The GPU server cannot run this command: Node X is missing.", False),
    ],
)
async def test_each_failure_says_what_happened_and_what_to_do(office, alice, error, detail, told, buttons):
    job_id = await office.job(alice.id, state="dead", error=error, error_detail=detail)
    await office.owe_and_send(alice.id, "failure", job_id)
    message = alice.private_chat.messages[-1]
    assert message.text.startswith(told)
    assert message.buttons == ([["🔁 Again"]] if buttons else [])


async def test_a_failure_is_a_new_message_if_the_status_message_was_deleted(office, alice):
    job_id = await office.job(alice.id)
    await office.owe_and_send(alice.id, "status", job_id)
    alice.private_chat.delete(alice.private_chat.messages[0])
    await office.set(job_id, state="failed")
    await office.owe_and_send(alice.id, "failure", job_id)
    assert alice.private_chat.messages[-1].text.startswith("⚠️")


async def test_a_status_message_that_was_under_way_when_the_job_failed_is_taken_away(office, sandbox, alice):
    job_id = await office.job(alice.id)
    sandbox.faults.add(Fault("slow", method="sendMessage", seconds=0.4))
    sending = asyncio.create_task(office.owe_and_send(alice.id, "status", job_id))
    await until(lambda: sandbox.faults.struck)
    await office.set(job_id, state="failed")
    await office.owe_and_send(alice.id, "failure", job_id)
    await sending
    assert [message.text[:2] for message in alice.private_chat.messages] == ["⚠️"]


async def test_a_status_message_that_was_under_way_when_the_job_was_done_is_taken_away(office, sandbox, alice):
    job_id = await office.job(alice.id, outputs=[picture()])
    sandbox.faults.add(Fault("slow", method="sendMessage", seconds=0.4))
    sending = asyncio.create_task(office.owe_and_send(alice.id, "status", job_id))
    await until(lambda: sandbox.faults.struck)
    await office.set(job_id, state="collected")
    await office.owe_and_send(alice.id, "result", job_id)
    await sending
    assert [message.photo is not None for message in alice.private_chat.messages] == [True]
    assert (await office.get(job_id)).status_message_id is None


@pytest.mark.parametrize("state", ["collected", "delivered", "failed", "cancelled", "dead"])
async def test_a_job_that_is_over_gets_no_status_message(office, sandbox, alice, state):
    job_id = await office.job(alice.id, state=state)
    delivery_id = await office.owe_and_send(alice.id, "status", job_id)
    assert (await office.row(delivery_id))[0] == "dropped"
    assert len(sandbox.journal.calls("sendMessage")) == 0


async def test_the_status_message_answers_the_command_in_a_group_only(office, sandbox, alice):
    group = sandbox.group("Painters", [alice])
    for chat in (group, alice.private_chat):
        asked = chat.send("/f an astronaut")
        job_id = await office.job(chat.id, message_id=asked.message_id)
        await office.owe_and_send(chat.id, "status", job_id)
        message = chat.messages[-1]
        assert message.buttons == [["✖️ Cancel"]]
        assert (message.reply_to is asked) == (chat is group)
        assert (await office.get(job_id)).status_message_id == message.message_id


async def test_edits_that_hang_leave_database_connections_to_others(office, sandbox):
    people = [sandbox.user(f"Person {number}") for number in range(10)]
    owed = []
    for person in people:
        job_id = await office.job(person.id)
        await office.owe_and_send(person.id, "status", job_id)
        await office.set(job_id, state="failed")
        owed.append(await office.owe(person.id, "failure", job_id))
    sandbox.faults.add(Fault("slow", method="editMessageText", seconds=0.5, times=None))
    editing = asyncio.gather(*(office.send(delivery_id) for delivery_id in owed))
    await until(lambda: len(sandbox.faults.struck) == EDITS_AT_A_TIME)
    await office.owe_and_send(people[0].id, "notice", text="hello")
    assert len(sandbox.faults.struck) == EDITS_AT_A_TIME, "the notice did not wait for the edits"
    await editing
    assert all(person.private_chat.messages[0].text.startswith("⚠️") for person in people)


async def test_words_of_the_user_are_in_no_log(office, sandbox, alice, capfd, caplog):
    words = "-".join(["private", "words"])
    sandbox.faults.add(Fault("cut", method="sendPhoto"))
    job_id = await office.job(alice.id, state="collected", outputs=[picture()], arguments={"prompt": words, "seed": 7})
    await office.owe_and_send(alice.id, "result", job_id)
    await office.owe_and_send(alice.id, "notice", text=words)
    told = capfd.readouterr()
    assert words not in told.out + told.err + caplog.text
