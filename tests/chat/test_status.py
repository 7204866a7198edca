import asyncio
import contextlib

import pytest

from db import events, jobs, statuses, timings
from runtime.chat.status import StatusEditor
from runtime.sandbox.telegram import Fault, ManualClock
from tests.chat.conftest import until


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def start(database, office, clock):
    """Starts an editor as one more web process would; returns its task."""
    running = []

    def start_editor() -> asyncio.Task:
        editor = StatusEditor(database.dsn, office.pool, office.gateway, clock=clock)
        running.append(asyncio.create_task(editor.run()))
        return running[-1]

    yield start_editor
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


async def _progress(office, job_id, fraction, **more):
    job = await office.get(job_id)
    async with office.pool.connection() as connection:
        await events.progress(connection, job_id, job.fence, {"phase": "running", "fraction": fraction, **more})


async def _running_job(office, chat_id):
    job_id = await office.job(chat_id)
    await office.owe_and_send(chat_id, "status", job_id)
    await office.set(job_id, state="running")
    return job_id


def _edits(sandbox, chat):
    return [call.parameters["text"] for call in sandbox.journal.calls("editMessageText", chat.id) if call.ok]


async def _edited(chat, words, clock=None):
    """Wait for the words; with a clock, let the editor's time pass meanwhile."""
    async with _passing(clock):
        return await chat.wait_for(lambda message: words in (message.text or ""))


@contextlib.asynccontextmanager
async def _passing(clock):
    async def pass_time():
        while clock is not None:
            clock.advance(1.0)
            await asyncio.sleep(0.02)

    passing = asyncio.create_task(pass_time())
    yield
    passing.cancel()


async def test_progress_is_shown_in_the_status_message(office, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    await _progress(office, job_id, 0.52, node="31", title="sampler", step=11, steps=20)
    message = await _edited(alice.private_chat, "52 %", clock)
    assert message.text == "🎨 ▰▰▰▰▰▱▱▱▱▱ 52 % · sampler · step 11/20"
    assert message.buttons == [["✖️ Cancel"]]


async def test_a_burst_of_progress_is_one_edit_a_second_and_the_latest_wins(office, sandbox, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    began, before = clock.time(), len(_edits(sandbox, alice))
    for second in range(1, 4):
        for step in range(20):
            await _progress(office, job_id, second / 10 + step / 1000)
        await _edited(alice.private_chat, f"{second}1 %", clock)
    assert len(_edits(sandbox, alice)) - before <= clock.time() - began + 1


async def test_a_group_is_edited_every_five_seconds_at_most(office, sandbox, alice, start, clock):
    group = sandbox.group("Painters", [alice])
    start()
    job_id = await _running_job(office, group.id)
    began = clock.time()
    for tenth in range(1, 5):
        await _progress(office, job_id, tenth / 10)
        await _edited(group, f"{tenth}0 %", clock)
        for step in range(10):
            await _progress(office, job_id, tenth / 10 + step / 1000)
    assert 4 <= len(_edits(sandbox, group)) <= (clock.time() - began) / 5 + 1


async def test_who_waits_sees_the_queue_move(office, sandbox, start, clock):
    people = [sandbox.user(name) for name in ("Alice", "Bob", "Carol")]
    start()
    waiting = []
    for person in people:
        waiting.append(await office.job(person.id))
        await office.owe_and_send(person.id, "status", waiting[-1])
    shown = [person.private_chat.messages[-1].text for person in people]
    assert shown == [f"⏳ In the queue: {place}" for place in ("you are next", "number 2", "number 3")]
    async with office.pool.connection() as connection:
        await jobs.cancel(connection, waiting[0])
    await _edited(people[1].private_chat, "you are next", clock)
    await _edited(people[2].private_chat, "number 2", clock)


async def test_the_scheduler_tells_why_a_job_waits(office, alice, start):
    job_id = await office.job(alice.id, placement="waiting for gpu-a, which holds Wan")
    await office.owe_and_send(alice.id, "status", job_id)
    assert alice.private_chat.messages[-1].text.endswith("you are next\nwaiting for gpu-a, which holds Wan")


async def test_a_cancelled_job_says_so_without_a_button(office, alice, start, clock):
    start()
    job_id = await office.job(alice.id)
    await office.owe_and_send(alice.id, "status", job_id)
    async with office.pool.connection() as connection:
        await jobs.cancel(connection, job_id)
    message = await _edited(alice.private_chat, "Cancelled", clock)
    assert message.buttons == []


async def test_a_running_job_that_is_to_stop_says_so(office, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    async with office.pool.connection() as connection:
        await jobs.cancel(connection, job_id)
    assert (await _edited(alice.private_chat, "Cancelling", clock)).buttons == []


async def test_after_a_restart_open_jobs_are_edited_again(office, alice, start, clock):
    job_id = await _running_job(office, alice.id)
    await _progress(office, job_id, 0.3)
    start()
    await _edited(alice.private_chat, "30 %", clock)


async def test_what_was_cancelled_or_delivered_while_nobody_looked_is_tidied(office, sandbox, alice, start, clock):
    bob = sandbox.user("Bob")
    cancelled, delivered = await office.job(alice.id), await office.job(bob.id)
    await office.owe_and_send(alice.id, "status", cancelled)
    await office.owe_and_send(bob.id, "status", delivered)
    async with office.pool.connection() as connection:
        await jobs.cancel(connection, cancelled)
        await connection.execute("update jobs set state = 'delivered', ended_at = now() where id = %s", (delivered,))
    start()
    await _edited(alice.private_chat, "Cancelled", clock)
    async with _passing(clock):
        await bob.private_chat.wait_until(lambda chat: chat.messages == [])


async def test_one_editor_works_and_the_next_takes_over_when_it_ends(office, sandbox, alice, start, clock):
    first = start()
    job_id = await _running_job(office, alice.id)
    await _progress(office, job_id, 0.1)
    await _edited(alice.private_chat, "10 %", clock)
    start()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await _progress(office, job_id, 0.2)
    await _edited(alice.private_chat, "20 %", clock)


async def test_an_editor_that_loses_its_connection_works_on_when_it_has_the_lead_again(office, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    await _progress(office, job_id, 0.1)
    await _edited(alice.private_chat, "10 %", clock)
    async with office.pool.connection() as connection:
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'veilrun-status'"
        )
    await _progress(office, job_id, 0.2)
    await _edited(alice.private_chat, "20 %", clock)


async def test_two_editors_make_no_more_edits_than_one(office, sandbox, alice, start, clock):
    start(), start(), start()
    job_id = await _running_job(office, alice.id)
    for second in range(1, 4):
        await _progress(office, job_id, second / 10)
        await _edited(alice.private_chat, f"{second}0 %", clock)
    assert len(set(_edits(sandbox, alice))) == len(_edits(sandbox, alice)), "the same edit twice"


async def test_a_429_hushes_its_chat_and_no_other(office, sandbox, alice, start, clock):
    bob = sandbox.user("Bob")
    start()
    his, hers = await _running_job(office, bob.id), await _running_job(office, alice.id)
    sandbox.faults.add(Fault.too_many_requests(30, method="editMessageText", chat_id=alice.id))
    await _progress(office, hers, 0.1)
    async with _passing(clock):
        await sandbox.journal.wait_for(lambda call: call.status == 429)
    for second in range(1, 4):
        await _progress(office, his, second / 10)
        await _progress(office, hers, second / 10)
        await _edited(bob.private_chat, f"{second}0 %", clock)
    tried = sandbox.journal.calls("editMessageText", alice.id)
    assert tried[-1].status == 429
    await office.make_due()
    await _edited(alice.private_chat, "30 %", clock)


async def test_a_status_message_that_the_user_deleted_is_not_missed(office, sandbox, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    alice.private_chat.delete(alice.private_chat.messages[-1])
    await _progress(office, job_id, 0.1)
    async with _passing(clock), asyncio.timeout(10):
        while (await office.get(job_id)).status_message_id is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert [call.status for call in sandbox.journal.calls("editMessageText")][-1] == 400
    assert (await office.get(job_id)).state == "running"


async def test_an_edit_under_way_never_overwrites_the_explanation_of_a_failure(office, sandbox, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    sandbox.faults.add(Fault("slow", method="editMessageText", seconds=0.4))
    await _progress(office, job_id, 0.1)
    async with _passing(clock):
        await until(lambda: sandbox.faults.struck)
    await office.set(job_id, state="failed", error="OutOfMemory")
    await office.owe_and_send(alice.id, "failure", job_id)
    assert [message.text[:2] for message in alice.private_chat.messages] == ["⚠️"]


async def test_nothing_is_edited_once_the_job_is_over(office, sandbox, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    await _progress(office, job_id, 0.1)
    await _edited(alice.private_chat, "10 %", clock)
    edits = len(_edits(sandbox, alice))
    await office.set(job_id, state="collected")
    async with office.pool.connection() as connection:
        await events.record(connection, job_id, "progress", {})
        await events.record(connection, job_id, "collected", {})
    canary = await _running_job(office, sandbox.user("Bob").id)
    await _progress(office, canary, 0.2)
    await _edited(sandbox.user("Bob").private_chat, "20 %", clock)
    assert len(_edits(sandbox, alice)) == edits


async def test_a_user_who_blocks_the_bot_while_a_job_runs_ends_it(office, sandbox, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    alice.private_chat.block()
    await _progress(office, job_id, 0.1)
    async with _passing(clock), asyncio.timeout(10):
        while not (await office.get(job_id)).cancel_requested:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("fault", [Fault("bad_gateway"), Fault("cut"), Fault("error", code=500, description="oops")])
async def test_an_edit_with_an_unknown_outcome_is_repeated(office, sandbox, alice, start, clock, fault):
    job_id = await _running_job(office, alice.id)
    await _progress(office, job_id, 0.1)
    sandbox.faults.add(fault)
    start()
    async with _passing(clock):
        await sandbox.journal.wait_for("editMessageText", count=2)
    await _edited(alice.private_chat, "10 %")


async def _expect(office, job_id, seconds):
    async with office.pool.connection() as connection:
        await timings.expect(connection, {job_id: seconds})


async def _promised(office, job_id):
    """As soon as the edit that told it is over, if one is under way."""
    async with office.pool.connection() as connection:
        await statuses.lock_edit(connection, job_id)
    return (await office.get(job_id)).promised_at


async def test_who_waits_is_told_when_it_will_be_done_as_soon_as_that_is_known(office, alice, start, clock):
    start()
    job_id = await office.job(alice.id)
    await office.owe_and_send(alice.id, "status", job_id)
    assert await _promised(office, job_id) is None
    await _expect(office, job_id, 150)
    await _edited(alice.private_chat, "you are next\n⏱ done in 2 to 3 minutes", clock)
    assert await _promised(office, job_id) == (await office.get(job_id)).expected_at


async def test_the_first_figure_that_a_chat_is_told_is_the_promise(office, alice, start, clock):
    start()
    job_id = await office.job(alice.id)
    await _expect(office, job_id, 45)
    await office.owe_and_send(alice.id, "status", job_id)
    assert alice.private_chat.messages[-1].text.endswith("⏱ done in about 50 s")
    promised = (await office.get(job_id)).expected_at
    await _expect(office, job_id, 200)
    await _edited(alice.private_chat, "3 to 4 minutes", clock)
    assert await _promised(office, job_id) == promised


async def test_the_time_left_counts_down_though_nothing_happens(office, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    await office.set(job_id, expected_at=None)
    await _expect(office, job_id, 12)
    await _edited(alice.private_chat, "about 20 s", clock)
    await office.execute("update jobs set expected_at = expected_at - interval '8 seconds'")
    await _edited(alice.private_chat, "a few seconds", clock)
    await office.execute("update jobs set expected_at = expected_at - interval '40 seconds'")
    await _edited(alice.private_chat, "⏱ taking longer than usual", clock)


async def test_a_job_that_is_late_promises_nothing(office, alice, start, clock):
    start()
    job_id = await _running_job(office, alice.id)
    await office.execute("update jobs set expected_at = now() - interval '1 hour'")
    await _progress(office, job_id, 0.5)
    await _edited(alice.private_chat, "⏱ taking longer than usual", clock)
    assert await _promised(office, job_id) is None


@pytest.mark.parametrize(
    "columns",
    [
        {"cancel_requested": True, "state": "running"},
        {"error": "PathAway"},
        {"run_at": "2999-01-01 00:00:00+00", "is_due": False},
    ],
)
async def test_nothing_is_said_of_the_time_where_nobody_can_know_it(office, alice, columns):
    job_id = await office.job(alice.id, **columns)
    await _expect(office, job_id, 40)
    await office.owe_and_send(alice.id, "status", job_id)
    assert "⏱" not in alice.private_chat.messages[-1].text


async def test_far_behind_in_the_queue_places_are_not_counted(office, sandbox, alice, start, clock):
    start()
    for _ in range(jobs.COUNTED + 2):
        await office.job(sandbox.user("Crowd").id)
    last = await office.job(alice.id)
    await office.owe_and_send(alice.id, "status", last)
    assert alice.private_chat.messages[-1].text == "⏳ In the queue: number 100+"
    await office.execute("update jobs set state = 'running' where id in (select min(id) from jobs)")
    await office.execute(
        "update jobs set state = 'running' where id in (select min(id) from jobs where state = 'queued')"
    )
    async with office.pool.connection() as connection:
        await jobs.cancel(connection, last - 1)
    await _edited(alice.private_chat, "number 100", clock)
