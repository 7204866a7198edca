"""`python -m runtime.anon`: the process that keeps this machine's `anon`."""

import sys

from runtime.anon.process import run_anon
from runtime.child import run_child

if __name__ == "__main__":
    sys.exit(run_child(run_anon))
