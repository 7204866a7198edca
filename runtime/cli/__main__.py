"""`python -m runtime.cli`: the same as the command `veilrun`."""

from runtime.cli import main

main()
