"""backends.round_trip_seconds."""

from db.migrate import apply_file

revision = "0002_round_trip"
down_revision = "0001_first"


def upgrade() -> None:
    apply_file(revision)
