"""The three brokers by their real servers: a wake-up may be lost, doubled or late, and the server may be away."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dramatiq
import pika
import pytest

from db.leases import Wakeup
from runtime.sandbox.comfyui import SandboxComfyUI
from runtime.worker.broker import EXECUTE, Waker, make_broker
from runtime.worker.wakeups import BrokerAway, WakeupBroker, WakeupConsumer
from tests.conftest import Database
from tests.e2e.deployment import deployed, picture_after
from tests.scale.servers import BrokerServer, RabbitmqServer
from tests.worker.yard import TOKEN, Yard

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

NEVER = "3600"
"""Seconds between two sweeps: what happens then, happens by a message."""


@contextmanager
def opened(server: BrokerServer, jobs: int = 1) -> Iterator[WakeupBroker]:
    broker = make_broker(server.url, "postgresql:///no_other", jobs=jobs)
    with closing(broker):
        yield broker


async def wake(server: BrokerServer, *wakeups: Wakeup, times: int = 1) -> None:
    """As the web process does after a commit."""
    with opened(server) as broker:
        waker = Waker(broker)
        for _ in range(times):
            assert await waker.wake_execute(wakeups) == []
        waker.close()


async def run_by_message(yard: Yard, server: BrokerServer) -> None:
    """A job that nobody finds without a message is run."""
    job_id = await yard.queue("flux")
    await wake(server, *await yard.place())
    await yard.until(job_id, "collected")


def consumer(broker: WakeupBroker) -> WakeupConsumer:
    return broker.consume(EXECUTE, timeout=300)


def next_of(consumer: WakeupConsumer, tries: int = 20) -> dict[str, int]:
    for _ in range(tries):
        message = next(consumer)
        if message is not None:
            return dict(message.kwargs)
    raise AssertionError("no message came")


def message(job_id: int) -> dramatiq.Message[None]:
    return dramatiq.Message(EXECUTE, EXECUTE, (), {"job_id": job_id, "fence": 0}, {})


# Where messages go


async def test_a_job_is_run_because_of_its_message(server: BrokerServer, yard: Yard, comfyui: SandboxComfyUI):
    await yard.start_worker(BROKER_URL=server.url, VEILRUN_SWEEP_SECONDS=NEVER)

    await run_by_message(yard, server)

    assert comfyui.posts.total() == 1


async def test_messages_that_come_five_times_and_late_run_the_job_once(server, yard: Yard, comfyui: SandboxComfyUI):
    job_id = await yard.queue("flux")
    wakeups = await yard.place()
    await wake(server, *wakeups, times=3)
    await yard.start_worker(BROKER_URL=server.url, VEILRUN_SWEEP_SECONDS=NEVER)
    await yard.start_worker(BROKER_URL=server.url, VEILRUN_SWEEP_SECONDS=NEVER)
    await yard.until(job_id, "collected")

    await wake(server, *wakeups, times=2)
    await run_by_message(yard, server)  # by now the late ones were dropped

    assert comfyui.posts.total() == 2
    assert await yard.rows("select max(attempt) from jobs") == [(1,)]


def test_a_process_without_a_free_thread_holds_back_no_message_from_another(server: BrokerServer):
    with opened(server) as here, opened(server) as there:
        busy, idle = consumer(here), consumer(there)
        here.enqueue(message(1))
        assert next_of(busy)["job_id"] == 1
        for job_id in (2, 3):
            here.enqueue(message(job_id))
        assert next(busy) is None

        assert next_of(idle)["job_id"] == 2
        there.queues[EXECUTE].leave()
        assert next_of(idle)["job_id"] == 3

        here.enqueue(message(4))
        here.queues[EXECUTE].leave()
        assert next_of(busy)["job_id"] == 4
        busy.close()
        idle.close()


def test_what_a_process_took_and_did_not_begin_when_it_ends_goes_to_another(server: BrokerServer):
    with opened(server) as ending, opened(server) as other:
        taken = consumer(ending)
        ending.enqueue(message(1))
        unbegun = next(taken) or next(taken)
        assert unbegun is not None
        taken.requeue([unbegun])
        taken.close()

        carrying_on = consumer(other)
        assert next_of(carrying_on)["job_id"] == 1
        carrying_on.close()


def test_a_message_that_nobody_can_read_stops_no_others(server: BrokerServer):
    class Garbled(dramatiq.Message[None]):
        def encode(self) -> bytes:
            return b"[]" if server.name == "postgresql" else b"\xff\x00 not ours"

    with opened(server) as broker:
        broker.enqueue(Garbled(EXECUTE, EXECUTE, (), {}, {}))
        broker.enqueue(message(1))
        reading = consumer(broker)
        assert next_of(reading)["job_id"] == 1
        reading.close()


# When processes and servers end


async def test_after_kill_9_of_a_worker_another_takes_over_what_it_did(server, yard: Yard, comfyui: SandboxComfyUI):
    comfyui.faults.hold = {"sampler"}
    first = await yard.start_worker(BROKER_URL=server.url)
    job_id = await yard.queue("flux")
    await wake(server, *await yard.place(), times=3)
    await comfyui.wait_for(lambda backend: "sampler" in backend.held)

    first.kill()
    await first.wait()
    await yard.start_worker(BROKER_URL=server.url)
    await yard.until(job_id, lambda job: job.state == "running" and job.attempt == 2)
    comfyui.faults.hold = set()

    job = await yard.until(job_id, "collected")
    assert comfyui.posts == {job.prompt_id: 1}


async def test_lost_messages_are_sent_again(server: BrokerServer, yard: Yard):
    job_id = await yard.queue("flux")
    await wake(server, *await yard.place())
    server.wipe()

    await yard.start_worker(BROKER_URL=server.url)

    await yard.until(job_id, "collected")


async def test_a_wiped_broker_serves_workers_that_were_listening(server: BrokerServer, yard: Yard):
    await yard.start_worker(BROKER_URL=server.url, VEILRUN_SWEEP_SECONDS=NEVER)
    await run_by_message(yard, server)

    server.wipe()

    await run_by_message(yard, server)


async def test_while_the_broker_is_away_jobs_go_on_and_when_it_is_back_so_do_messages(server, yard: Yard):
    worker = await yard.start_worker(BROKER_URL=server.url)
    listening = await yard.start_worker(BROKER_URL=server.url, VEILRUN_SWEEP_SECONDS=NEVER)
    await yard.until(await yard.queue("flux"), "collected")

    await asyncio.to_thread(server.kill)
    job_ids = [await yard.queue("flux") for _ in range(3)]
    for job_id in job_ids:
        await yard.until(job_id, "collected")
    await asyncio.to_thread(server.start)
    worker.terminate()
    await worker.wait()

    await run_by_message(yard, server)
    assert listening.returncode is None
    assert worker.returncode == 0


async def test_a_broker_that_is_away_at_the_start_delays_jobs_by_a_sweep(server: BrokerServer, yard: Yard):
    await asyncio.to_thread(server.kill)
    try:
        worker = await yard.start_worker(BROKER_URL=server.url)
        job_id = await yard.queue("flux")
        job = await yard.until(job_id, "collected")
    finally:
        await asyncio.to_thread(server.start)

    assert job.attempt == 1
    worker.terminate()
    assert await asyncio.wait_for(worker.wait(), 20) == 0


def test_a_sender_says_soon_that_the_broker_is_away_and_sends_again_when_it_is_back(server: BrokerServer):
    with opened(server) as broker:
        broker.enqueue(message(1))
        server.kill()
        with pytest.raises(BrokerAway, match="BROKER_URL"):
            broker.enqueue(message(2))
        server.start()
        broker.enqueue(message(3))

        waiting = consumer(broker)
        assert next_of(waiting)["job_id"] in (1, 3), "PostgreSQL and RabbitMQ may keep what they had"
        waiting.close()


async def test_a_broker_that_takes_connections_and_says_nothing_holds_up_nobody_for_long(database: Database):
    for name in ("redis", "amqp"):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            broker = make_broker(f"{name}://127.0.0.1:{silent.getsockname()[1]}/0", database.dsn)
            waker = Waker(broker)
            async with asyncio.timeout(12):
                assert await waker.wake_execute([Wakeup(1, 1)]) == [Wakeup(1, 1)]
            async with asyncio.timeout(0.5):
                assert await waker.wake_execute([Wakeup(2, 1)]) == [Wakeup(2, 1)], "it is not asked again at once"
            waker.close()
            broker.close()


# Only for some


def test_a_queue_that_nobody_takes_from_does_not_grow_by_what_is_sent_again(database: Database):
    import psycopg

    broker = make_broker("postgresql", database.dsn)
    waker = Waker(broker)
    for _ in range(5):
        assert asyncio.run(waker.wake_execute([Wakeup(7, 1)])) == []
    waker.close()
    broker.close()

    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("select count(*) from dramatiq.queue").fetchone() == (1,)


async def test_a_job_may_last_longer_than_rabbitmq_lets_anybody_hold_a_message(
    rabbitmq: RabbitmqServer, yard: Yard, comfyui: SandboxComfyUI
):
    comfyui.faults.hold = {"sampler"}
    await yard.start_worker(BROKER_URL=rabbitmq.url, VEILRUN_SWEEP_SECONDS=NEVER, VEILRUN_WORKER_THREADS="1")
    job_id = await yard.queue("flux")
    await wake(rabbitmq, *await yard.place())
    await comfyui.wait_for(lambda backend: "sampler" in backend.held)

    await asyncio.to_thread(break_a_channel_by_holding_a_message, rabbitmq)
    comfyui.faults.hold = set()

    assert (await yard.until(job_id, "collected")).attempt == 1
    await run_by_message(yard, rabbitmq)


def break_a_channel_by_holding_a_message(rabbitmq: RabbitmqServer) -> None:
    """The control: as long as this takes, the limit was passed."""
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        channel = connection.channel()
        channel.queue_declare("held", exclusive=True)
        channel.basic_publish("", "held", b"")
        deliveries = channel.consume("held", inactivity_timeout=60)
        next(deliveries)
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="timed out"):
            next(deliveries)


@pytest.mark.parametrize("url", ["amqp://bot:hunter2@127.0.0.1:9/", "redis://bot:hunter2@127.0.0.1:9/0"])
async def test_without_a_broker_telegram_is_answered_and_pictures_come(url: str, database: Database, tmp_path: Path):
    async with deployed(database.dsn, tmp_path, BROKER_URL=url) as deployment:
        asked = deployment.chat.send("/f an astronaut")
        await picture_after(deployment.chat, asked)

        assert all(process.returncode is None for process in deployment.processes.values())


@pytest.mark.parametrize("url", ["amqp://bot:hunter2@127.0.0.1:9/", "redis://bot:hunter2@127.0.0.1:9/0"])
async def test_what_a_process_says_of_a_broker_that_is_away_names_the_variable_and_no_password(url: str, yard: Yard):
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "runtime.worker",
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "DATABASE_URL": yard.dsn,
            "BROKER_URL": url,
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "VEILRUN_REGISTRY": str(yard.path),
            "VEILRUN_SWEEP_SECONDS": "0.3",
        },
    )
    try:
        await yard.until(await yard.queue("flux"), "collected", seconds=30)
    finally:
        worker.terminate()
        assert worker.stderr is not None
        said = (await worker.stderr.read()).decode()
        await worker.wait()

    assert "BROKER_URL" in said
    assert "hunter2" not in said
    assert said.count("broker away") <= 2, "once for each queue, not at every try"


# What the doctor asks


async def test_a_broker_tells_what_it_is_and_what_waits_and_is_not_changed_by_that(server: BrokerServer):
    with opened(server) as broker:
        before = await asyncio.to_thread(broker.condition)
        await wake(server, Wakeup(1, 1), Wakeup(2, 1))
        first, second = [await asyncio.to_thread(broker.condition) for _ in range(2)]

    assert sum(before.waiting.values()) == 0
    assert first.server.split()[0].lower() == server.name
    assert first.server.split()[1][0].isdigit()
    assert (first.waiting[EXECUTE], first.faults, first.doubts) == (2, (), ())
    assert first == second


async def test_a_queue_that_another_program_declared_is_a_fault(rabbitmq: RabbitmqServer):
    rabbitmq.wipe()
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        connection.channel().queue_declare("veilrun.execute", durable=False)
    with opened(rabbitmq) as broker:
        condition = await asyncio.to_thread(broker.condition)
    rabbitmq.wipe()

    ((said, cure),) = condition.faults
    assert "veilrun.execute was declared with other arguments" in said
    assert "delete_queue" in cure
