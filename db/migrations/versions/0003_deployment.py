"""deployment."""

from db.migrate import apply_file

revision = "0003_deployment"
down_revision = "0002_round_trip"


def upgrade() -> None:
    apply_file(revision)
