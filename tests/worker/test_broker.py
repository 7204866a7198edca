"""Wake-ups: which broker, how soon they arrive, and what happens when they cannot be sent."""

import asyncio
import socket
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Iterator

import dramatiq
import pytest
from dramatiq import Worker
from dramatiq.brokers.stub import StubBroker
from structlog.testing import capture_logs

from db.leases import Wakeup
from runtime.worker.broker import BrokerUnsupported, Waker, make_broker
from runtime.worker.postgres_broker import PostgresBroker
from runtime.worker.wakeups import BrokerAway
from tests.conftest import Database

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing?connect_timeout=1"


def test_postgresql_is_the_database_itself_or_another_one():
    assert isinstance(make_broker("postgresql", NOWHERE), PostgresBroker)
    assert isinstance(make_broker(NOWHERE, "postgresql:///other"), PostgresBroker)


@pytest.mark.parametrize(
    ("url", "named", "client"), [("amqp://mq", "RabbitMQ", "pika"), ("redis://c", "Redis", "redis")]
)
def test_a_broker_whose_client_is_not_installed_says_what_to_install(
    url: str, named: str, client: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delitem(sys.modules, f"runtime.worker.{named.lower()}_broker", raising=False)
    monkeypatch.setitem(sys.modules, client, None)

    with pytest.raises(BrokerUnsupported, match=rf"{named}.*pip install 'veilrun\[{named.lower()}\]'"):
        make_broker(url, NOWHERE)


@pytest.mark.parametrize(
    "url",
    [
        "amqp://bot:hunter2@mq:port/",
        "amqp://bot:hunter2/with/slashes@mq:5672/",
        "amqp://bot:hunter2@mq/veilrun?heartbeat=hunter2",
        "redis://bot:hunter2@cache:port/0",
        "redis://bot:hunter2@cache/0?socket_timeout=hunter2",
        "postgresql://bot:hunter2@[mq/name",
        "postgresql://bot:hunter2@host/name?no_such_option=hunter2",
    ],
)
def test_a_malformed_address_is_refused_without_a_word_of_its_password(url: str):
    with pytest.raises(BrokerUnsupported, match="BROKER_URL is malformed") as refused:
        make_broker(url, NOWHERE)

    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("url", ["kafka://somewhere", "", "nonsense"])
def test_any_other_broker_is_refused_by_name_of_the_setting(url: str):
    with pytest.raises(BrokerUnsupported, match="BROKER_URL"):
        make_broker(url, NOWHERE)


async def test_a_wake_up_carries_numbers_only():
    broker = StubBroker(middleware=[])
    for queue in ("execute", "deliver"):
        broker.declare_queue(queue)
    waker = Waker(broker)

    await waker.wake_execute([Wakeup(3, 7)])
    await waker.wake_deliver([11])
    waker.close()

    execute, deliver = (dramatiq.Message.decode(broker.queues[name].get()) for name in ("execute", "deliver"))
    assert (execute.actor_name, execute.kwargs) == ("execute", {"job_id": 3, "fence": 7})
    assert (deliver.actor_name, deliver.kwargs) == ("deliver", {"delivery_id": 11})


async def test_a_wake_up_that_cannot_be_sent_is_logged_and_left_to_the_sweeper():
    class Broken(StubBroker):
        def enqueue(self, message, *, delay=None):
            raise BrokerAway("it does not answer")

    waker = Waker(Broken(middleware=[]))

    with capture_logs() as logs:
        untold = await waker.wake_execute([Wakeup(3, 7), Wakeup(4, 1)])
    waker.close()

    assert untold == [Wakeup(3, 7), Wakeup(4, 1)]
    assert [(entry["event"], entry["job_id"]) for entry in logs] == [("wake-up not sent", 3)]


async def test_a_postgresql_that_takes_no_writes_from_us_counts_as_away(database: Database):
    broker = make_broker(f"{database.dsn}&options=-c%20default_transaction_read_only%3Don", NOWHERE)
    waker = Waker(broker)

    assert await waker.wake_execute([Wakeup(3, 7)]) == [Wakeup(3, 7)]
    with pytest.raises(BrokerAway, match=r"as BROKER_URL names it, does not serve us \(ReadOnlySqlTransaction\)"):
        broker.mailbox("execute").take(0.1)

    waker.close()
    broker.close()


@pytest.fixture
def broker(database: Database) -> Iterator[dramatiq.Broker]:
    made = make_broker("postgresql", database.dsn)
    yield made
    made.close()


def test_an_idle_worker_hears_of_a_message_in_milliseconds_every_time(broker: dramatiq.Broker):
    """Also in a row, when each message arrives while the consumer turns back from the one before."""
    arrived: list[float] = []
    is_here = threading.Event()

    @dramatiq.actor(actor_name="execute", queue_name="execute", broker=broker)
    def note(job_id: int, fence: int) -> None:
        arrived.append(time.perf_counter())
        is_here.set()

    worker = Worker(broker, worker_threads=2)
    worker.start()
    delays = []
    try:
        for number in range(60):
            is_here.clear()
            sent = time.perf_counter()
            broker.enqueue(note.message(number, 0))
            assert is_here.wait(5)
            delays.append(arrived[-1] - sent)
    finally:
        worker.stop()

    assert statistics.median(delays[5:]) < 0.05
    assert max(delays[5:]) < 0.9, "no message waits for the next poll"


def test_messages_for_tomorrow_belong_into_the_table_of_jobs(broker: dramatiq.Broker):
    with pytest.raises(ValueError, match="delay"):
        broker.enqueue(dramatiq.Message("execute", "execute", (), {}, {}), delay=1000)


def test_a_message_is_gone_once_it_was_worked_on(broker: dramatiq.Broker, database: Database):
    import psycopg

    done = threading.Event()

    @dramatiq.actor(actor_name="deliver", queue_name="deliver", broker=broker)
    def note(delivery_id: int) -> None:
        done.set()

    worker = Worker(broker, worker_threads=1)
    worker.start()
    broker.enqueue(note.message(1))
    assert done.wait(5)
    worker.stop()

    with psycopg.connect(database.dsn) as connection:
        assert connection.execute("select count(*) from dramatiq.queue").fetchone() == (0,)


async def test_the_waker_does_not_hold_up_the_loop():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        broker = make_broker(f"postgresql://nobody@127.0.0.1:{port}/nothing?connect_timeout=2", NOWHERE)
        waker = Waker(broker)

        sending = asyncio.create_task(waker.wake_execute([Wakeup(1, 1)]))
        async with asyncio.timeout(0.5):
            await asyncio.sleep(0.01)

        assert not sending.done()
        sending.cancel()
    waker.close()
    broker.close()
