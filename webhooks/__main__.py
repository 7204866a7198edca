"""`python -m webhooks`: one web process. `veilrun up` and `veilrun serve` start it."""

import sys

from runtime.child import run_child
from webhooks.process import run_web


def main() -> int:
    """Run until stopped. The exit status."""
    return run_child(run_web, "web")


if __name__ == "__main__":
    sys.exit(main())
