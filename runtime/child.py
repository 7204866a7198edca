"""How a web or worker process begins and ends: settings, logs, and one line for what keeps it from running."""

import sys
from collections.abc import Callable

from db.errors import DatabaseError
from db.pool import AWAY
from runtime.api import VeilrunError
from runtime.logs import configure_logs
from runtime.settings import Settings, read_settings
from runtime.supervisor import EX_CONFIG
from runtime.tracing import start_tracing


def run_child(run: Callable[[Settings], None], role: str | None = None) -> int:
    """Run a process until it is stopped; traced if it has a role, "web" or "worker".

    The exit status: 0, EX_CONFIG if starting again cannot help, else 1.
    """
    try:
        settings = read_settings()
        configure_logs(settings.log_level)
        stop_tracing = start_tracing(role) if role else None
        try:
            run(settings)
        finally:
            if stop_tracing:
                stop_tracing()
    except (VeilrunError, DatabaseError) as error:
        sys.stderr.write(f"error: {error}\n")
        return EX_CONFIG
    except AWAY as error:
        sys.stderr.write(f"error: the database does not answer: {str(error).strip().splitlines()[0]}\n")
        return 1
    return 0
