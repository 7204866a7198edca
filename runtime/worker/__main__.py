"""`python -m runtime.worker`: one worker process. Exit status 0 after SIGTERM, 78 if the settings are wrong."""

import sys

from db.errors import DatabaseError
from db.pool import AWAY
from runtime.api import VeilrunError
from runtime.logs import configure_logs
from runtime.settings import read_settings
from runtime.supervisor import EX_CONFIG
from runtime.worker.process import run_worker


def main() -> int:
    """The exit status."""
    try:
        settings = read_settings()
        configure_logs(settings.log_level)
        return run_worker(settings)
    except (VeilrunError, DatabaseError) as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return EX_CONFIG
    except AWAY as error:
        print(f"error: the database does not answer: {str(error).strip().splitlines()[0]}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
