"""Updates, chats, commands, jobs, artifacts, deliveries, backends, events."""

from db.migrate import apply_file

revision = "0001_first"
down_revision = None


def upgrade() -> None:
    apply_file(revision)
