"""What is counted and measured, for Prometheus. No user, chat or prompt is ever a label."""

from prometheus_client import Counter, Gauge, Histogram

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

updates_received = Counter("veilrun_updates_received", "Webhook requests by result", ["result"])
commit_batch = Histogram(
    "veilrun_commit_batch_updates", "Updates per group commit", buckets=(1, 2, 5, 10, 20, 50, 100, 200)
)
ack_seconds = Histogram("veilrun_ack_seconds", "From webhook request to durable acknowledgement", buckets=FAST)
dispatch_seconds = Histogram("veilrun_dispatch_seconds", "From stored update to committed effect", buckets=FAST)
updates_dispatched = Counter("veilrun_updates_dispatched", "Updates by what became of them", ["result"])
jobs_refused = Counter("veilrun_jobs_refused", "Requests refused, by the limit that did it", ["reason"])
telegram_calls = Counter("veilrun_telegram_calls", "Bot API calls", ["method", "outcome"])
deliveries_ended = Counter("veilrun_deliveries", "Messages owed to chats by what became of them", ["kind", "outcome"])
jobs_by_state = Gauge("veilrun_jobs", "Jobs in the table", ["command", "state"])
oldest_queued_seconds = Gauge("veilrun_oldest_queued_seconds", "Age of the oldest job that waits")
backends_by_health = Gauge("veilrun_backends", "Backends", ["health"])
round_trip_seconds = Gauge("veilrun_backend_round_trip_seconds", "One small request to a backend", ["backend"])
anon_bootstrap_percent = Gauge("veilrun_anon_bootstrap_percent", "How far this machine's anon is; 100 = usable")
anon_bytes = Counter("veilrun_anon_bytes", "What this machine's anon exchanged with its network", ["direction"])
