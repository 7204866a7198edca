"""Links and sessions of the operators' console; its way to dead letters."""

from db.migrate import apply_file

revision = "0006_console"
down_revision = "0005_functions"


def upgrade() -> None:
    apply_file(revision)
