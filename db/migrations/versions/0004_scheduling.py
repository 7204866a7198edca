"""The order of the queue, measured times, drains, views of each machine, breakers."""

from db.migrate import apply_file

revision = "0004_scheduling"
down_revision = "0003_deployment"


def upgrade() -> None:
    apply_file(revision)
