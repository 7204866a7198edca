"""The trace of a job goes with it."""

from db.migrate import apply_file

revision = "0007_traces"
down_revision = "0006_console"


def upgrade() -> None:
    apply_file(revision)
