"""What is counted and measured, for Prometheus. No user, chat or prompt is ever a label."""

import math
from collections import Counter as Counts
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from db.tallies import Metric, Tally

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

updates_received = Counter("veilrun_updates_received", "Webhook requests by result", ["result"])
commit_batch = Histogram(
    "veilrun_commit_batch_updates", "Updates per group commit", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
ack_seconds = Histogram("veilrun_ack_seconds", "From webhook request to durable acknowledgement", buckets=FAST)
dispatch_seconds = Histogram("veilrun_dispatch_seconds", "From stored update to committed effect", buckets=FAST)
updates_dispatched = Counter("veilrun_updates_dispatched", "Updates by what became of them", ["result"])
jobs_refused = Counter("veilrun_jobs_refused", "Requests refused, by the limit that did it", ["reason"])
function_requests = Counter("veilrun_function_requests", "Requests for functions over HTTP", ["route", "status"])
callbacks = Counter("veilrun_callbacks", "Tries of result webhooks by what came of them", ["outcome"])
open_breakers = Gauge("veilrun_open_breakers", "Commands kept away from a backend for a while", ["backend"])
jobs_by_state = Gauge("veilrun_jobs", "Jobs in the table", ["command", "state"])
queue_depth = Gauge("veilrun_queue_depth", "Jobs that wait, counted to 10,000 of each command", ["command"])
queue_oldest_seconds = Gauge("veilrun_queue_oldest_seconds", "Age of the oldest of the next jobs", ["command"])
oldest_queued_seconds = Gauge("veilrun_oldest_queued_seconds", "Age of the oldest job that waits")
backends_by_health = Gauge("veilrun_backends", "Backends", ["health"])
round_trip_seconds = Gauge("veilrun_backend_round_trip_seconds", "One small request to a backend", ["backend"])
registry_reloads = Counter("veilrun_registry_reloads", "Changes of the registry file, done or refused", ["result"])
registry_refused = Gauge("veilrun_registry_refused", "1 while the registry file is invalid: an older one is in force")
anon_bootstrap_percent = Gauge("veilrun_anon_bootstrap_percent", "How far this machine's anon is; 100 = usable")
anon_bytes = Counter("veilrun_anon_bytes", "What this machine's anon exchanged with its network", ["direction"])


class Gathered:
    """A count to which every process adds, those too that nobody asks for metrics: see `runtime.tallying`."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric
        self._counts: Counts[tuple[str, ...]] = Counts()

    def add(self, *labels: str) -> None:
        """One more with these labels, in the order of its `Tallied`."""
        self._counts[labels] += 1

    def take(self) -> Mapping[tuple[str, ...], int]:
        """What was counted since it was taken last, by labels."""
        taken, self._counts = self._counts, Counts()
        return taken

    def give_back(self, taken: Mapping[tuple[str, ...], int]) -> None:
        """It could not be stored: let it be taken again."""
        self._counts.update(taken)


telegram_calls = Gathered("call")
deliveries_ended = Gathered("delivery")


@dataclass(frozen=True, slots=True)
class Tallied:
    """A metric that the database keeps. bounds: of its histogram's buckets, in seconds; none = a plain count."""

    name: str
    says: str
    labels: Sequence[str]
    bounds: Sequence[float] = ()

    def family(self, found: Sequence[Tally] = ()) -> Family:
        """As Prometheus wants it, with the tallies `found` of this metric, in the order of their labels and bounds."""
        says = f"{self.says}, of the whole deployment: every web process tells the same"
        by_labels = [(list(labels), list(rows)) for labels, rows in groupby(found, key=lambda row: list(row.labels))]
        if not self.bounds:
            counter = CounterMetricFamily(self.name, says, labels=self.labels)
            for labels, rows in by_labels:
                counter.add_metric(labels, sum(row.count for row in rows))
            return counter
        histogram = HistogramMetricFamily(self.name, says, labels=self.labels)
        for labels, rows in by_labels:
            buckets = [
                ("+Inf" if bound == math.inf else str(float(bound)), sum(row.count for row in rows if row.le <= bound))
                for bound in (*self.bounds, math.inf)
            ]
            histogram.add_metric(labels, buckets, sum(row.total for row in rows))
        return histogram


TALLIED: Mapping[Metric, Tallied] = {
    "wait": Tallied(
        "veilrun_queue_wait_seconds",
        "From when a job might start until its run began",
        ["command"],
        (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600),
    ),
    "run": Tallied(
        "veilrun_run_seconds",
        "Runs whose weights were loaded",
        ["command", "device"],
        (0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 120, 300, 600),
    ),
    "load": Tallied(
        "veilrun_load_seconds",
        "What a run took more because its weights had to be loaded",
        ["command", "device"],
        (1, 2, 5, 10, 15, 20, 30, 45, 60, 120, 300),
    ),
    "error": Tallied(
        "veilrun_eta_error_seconds",
        "Between the time that a user was told first and the result, sooner or later",
        ["command"],
        (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800),
    ),
    "lateness": Tallied(
        "veilrun_eta_lateness_seconds",
        "How much later than a user was told first the result was there, below 0: sooner",
        ["command"],
        (-600, -300, -120, -60, -30, -10, -5, 0, 5, 10, 30, 60, 120, 300, 600),
    ),
    "warm": Tallied("veilrun_warm_runs", "Runs for which the backend had the weights loaded", ["backend"]),
    "swap": Tallied("veilrun_swaps", "Runs for which the backend had to load other weights", ["backend"]),
    "call": Tallied("veilrun_telegram_calls", "Bot API calls", ["method", "outcome"]),
    "delivery": Tallied("veilrun_deliveries", "Messages owed to chats by what became of them", ["kind", "outcome"]),
}


class Tallies(Collector):
    """Tells what was read from the database last."""

    def __init__(self) -> None:
        self._found: Sequence[Tally] = ()

    def show(self, found: Sequence[Tally]) -> None:
        """Tell these from now on."""
        self._found = found

    def collect(self) -> Iterator[Family]:
        for metric, tallied in TALLIED.items():
            yield tallied.family([row for row in self._found if row.metric == metric])

    def describe(self) -> Iterator[Family]:
        for tallied in TALLIED.values():
            yield tallied.family()


tallies = Tallies()
REGISTRY.register(tallies)
