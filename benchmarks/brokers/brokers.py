"""The six that are compared: each server by our broker, and by the one that Dramatiq's users take."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import TimeLimit
from dramatiq_postgres import PostgresBroker

from runtime.worker.broker import DELIVER, EXECUTE, make_broker

WHOSE = ("ours", "theirs")


def broker_of(whose: str, url: str, dsn: str, jobs: int = 1) -> dramatiq.Broker:
    """The broker for `url`; "postgresql" is the database at `dsn`."""
    if whose == "ours":
        return make_broker(url, dsn, jobs=jobs)
    broker: dramatiq.Broker
    if url.startswith("redis"):
        broker = RedisBroker(url=url, middleware=[TimeLimit()], namespace="theirs")
    elif url.startswith("amqp"):
        broker = RabbitmqBroker(url=url, middleware=[TimeLimit()])
    else:
        broker = PostgresBroker(url=dsn, results=False, middleware=[TimeLimit()])
    for queue in (EXECUTE, DELIVER):
        broker.declare_queue(queue)
    return broker
