"""`python -m runtime.leaks`: the process that enters a network of its own and plays the scenarios there.

Prints one JSON object a line: a finding each, or at the end why there are none.
"""

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from runtime.leaks.errors import LeakCheckImpossible
from runtime.leaks.namespace import enter_own_network
from runtime.supervisor import die_with_parent


def main() -> int:
    """Play everything. The exit status: 0 once every scenario was played, whatever it showed."""
    die_with_parent()
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(content: dict[str, Any]) -> None:
        lines.write(json.dumps(content) + "\n")
        lines.flush()

    try:
        outside = enter_own_network()  # before anything is imported that may start a thread
        from runtime.leaks.capture import Capture
        from runtime.leaks.play import play
        from runtime.leaks.scenarios import SCENARIOS
        from runtime.logs import configure_logs

        configure_logs("error")
        with Capture(outside) as capture:
            for finding in play(SCENARIOS, capture):
                say({"finding": asdict(finding)})
    except LeakCheckImpossible as error:
        say({"impossible": type(error).__name__, "why": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
