"""`make bench`: every benchmark, one after the other. Each prints ratios measured within its own run."""

import subprocess
import sys

NAMES = ("webhook", "path", "dispatch", "brokers", "placement", "pipeline", "throughput", "onion")


def main() -> int:
    """The number of benchmarks that could not be run."""
    failed = 0
    for name in NAMES:
        print(f"\n== {name}", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
