"""From nothing to a passing test: the commands of docs/ten-minutes.md in a clean virtual environment, timed.

    python -m benchmarks.scaffold [--wheel dist/veilrun-*.whl] [workflow.json]

The environment is empty at first; what pip fetches is part of the time. Prints each command with its seconds.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "plugins" / "sd3" / "sd35_large.json"


def main() -> int:
    """The exit status: 0 if the tests of the new package passed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("workflow", nargs="?", type=Path, default=WORKFLOW)
    options.add_argument("--wheel", type=Path, help="a built wheel; default: this checkout")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="veilrun-scaffold-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        tools = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        source = f"{(chosen.wheel or ROOT).resolve()}[authors]"
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        commands = [
            (folder, [tools / "pip", "install", "--quiet", "--disable-pip-version-check", *constraints, source]),
            (folder, [tools / "veilrun", "plugins", "new", "acme-picture", "--from", str(chosen.workflow.resolve())]),
            (folder / "acme-picture", [tools / "pytest", "-q"]),
        ]
        return run(commands)


def run(commands: list[tuple[Path, list[Path | str]]]) -> int:
    """Run each in its folder and print how long it took."""
    total, status = 0.0, 0
    for place, command in commands:
        began = time.perf_counter()
        done = subprocess.run([str(part) for part in command], cwd=place, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
        total += seconds
        shown = " ".join(Path(part).name if isinstance(part, Path) else part for part in command[:3])
        print(f"{seconds:7.1f} s  {shown}")
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-2000:], sep="\n")
            status = done.returncode
            break
    print(f"{total:7.1f} s  {len(commands)} commands")
    return status


if __name__ == "__main__":
    sys.exit(main())
