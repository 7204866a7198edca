"""`python -m webhooks`: one web process. `veilrun up` and `veilrun serve` start it."""

import sys

from db.errors import DatabaseError
from db.pool import AWAY
from runtime.api import VeilrunError
from runtime.logs import configure_logs
from runtime.settings import read_settings
from runtime.supervisor import EX_CONFIG
from webhooks.process import run_web


def main() -> int:
    """Run until stopped. The exit status."""
    try:
        settings = read_settings()
        configure_logs(settings.log_level)
        run_web(settings)
    except (VeilrunError, DatabaseError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EX_CONFIG
    except AWAY as error:
        sys.stderr.write(f"error: the database does not answer: {str(error).strip().splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
