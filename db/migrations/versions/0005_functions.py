"""Functions over HTTP: tokens, owners of jobs, idempotency keys, result webhooks."""

from db.migrate import apply_file

revision = "0005_functions"
down_revision = "0004_scheduling"


def upgrade() -> None:
    apply_file(revision)
