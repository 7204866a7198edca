"""What the doctor says about brokers that are away or unwell. The real ones, in good health: tests/scale."""

from pathlib import Path

import pytest
import redis

from runtime.doctor.broker import condition_lines
from runtime.settings import Settings
from runtime.worker.wakeups import Condition
from tests.conftest import Database
from tests.doctor.deployments import lines
from tests.scale.servers import RedisServer


async def test_the_database_carries_wake_ups_by_default(settings: Settings, database: Database) -> None:
    (line,) = await lines(settings.model_copy(update={"database_url": database.dsn}), "broker")

    assert line.level == "ok"
    assert line.text.startswith("PostgreSQL ")
    assert line.text.endswith("0 for deliver, 0 for execute")


async def test_without_a_database_there_is_nothing_to_ask(settings: Settings) -> None:
    (line,) = await lines(settings, "broker")

    assert line.level == "ok"


@pytest.mark.parametrize("url", ["redis://:hush@127.0.0.1:1/0", "amqp://bot:hush@127.0.0.1:1/"])
async def test_a_broker_that_is_away_is_a_fault_and_its_password_is_not_told(settings: Settings, url: str) -> None:
    (line,) = await lines(settings.model_copy(update={"broker_url": url}), "broker")

    assert line.level == "fault"
    assert "BROKER_URL" in line.text
    assert "nothing is lost" in line.cure
    assert "hush" not in repr(line)


@pytest.mark.parametrize("url", ["kafka://nowhere", "redis://[broken"])
async def test_an_address_that_names_no_broker_is_a_fault(settings: Settings, url: str) -> None:
    (line,) = await lines(settings.model_copy(update={"broker_url": url}), "broker")

    assert line.level == "fault"
    assert "BROKER_URL must be" in line.cure or "malformed" in line.cure


@pytest.mark.skipif(RedisServer.missing() is not None, reason="redis-server is not installed")
async def test_a_redis_that_refuses_writes_is_told(settings: Settings, tmp_path: Path) -> None:
    server = RedisServer()
    server.start()
    try:
        settings = settings.model_copy(update={"broker_url": server.url})
        with redis.Redis(port=server.port) as client:
            client.rpush("veilrun:execute", *range(120))
            crowded = await lines(settings, "broker")
            client.config_set("maxmemory", client.info()["used_memory"])
            full = await lines(settings, "broker")
            client.replicaof("127.0.0.1", server.port + 1)
            replica = await lines(settings, "broker")
    finally:
        server.close()

    assert crowded[0].text.startswith("Redis ")
    assert "120 for execute" in crowded[0].text
    assert [line.level for line in crowded] == ["warning"]
    assert any("it will refuse writes" in line.text and line.level == "warning" for line in full)
    assert any("replica" in line.text and line.level == "fault" for line in replica)


def test_what_a_broker_says_of_itself_becomes_lines() -> None:
    found = list(condition_lines(Condition("RabbitMQ 3.10", {}, (("an alarm is on", "make room"),), (("old", "new"),))))

    assert [(line.level, line.text) for line in found] == [
        ("ok", "RabbitMQ 3.10, wake-ups that nobody took yet: none, no queue is there yet"),
        ("fault", "an alarm is on"),
        ("warning", "old"),
    ]
