"""`python -m runtime.worker`: one worker process. Exit status 0 after SIGTERM, 78 if the settings are wrong."""

import sys

from runtime.child import run_child
from runtime.worker.process import run_worker


def main() -> int:
    """The exit status."""
    return run_child(run_worker, "worker")


if __name__ == "__main__":
    sys.exit(main())
