"""`veilrun anon run`: the daemon alone, for a machine whose veilrun processes are started apart."""

import asyncio
import logging

from rich.progress import BarColumn, Progress, TextColumn

from runtime.anon.client_keys import read_client_keys
from runtime.anon.keeper import AnonKeeper, check_startable
from runtime.anon.state import AnonState
from runtime.cli.output import notices
from runtime.registry import load_registry
from runtime.settings import read_settings
from runtime.supervisor import stop_on_signals


def run() -> None:
    """Run anon for the veilrun processes of this machine.

    Until Ctrl-C. `veilrun up` and `veilrun worker` do it by themselves when the registry has a backend with
    transport: anon. If one of them keeps a daemon already, this one stands by and takes over when it ends.
    """
    settings = read_settings()
    check_startable(settings)
    keys = read_client_keys(load_registry(settings.registry).backends)
    if notices.is_terminal:
        logging.getLogger("veilrun.anon").setLevel(logging.WARNING)  # the bar tells the same
    columns = (TextColumn("anon"), BarColumn(), TextColumn("{task.percentage:>3.0f} %  {task.description}"))
    with Progress(*columns, console=notices, disable=not notices.is_terminal) as progress:
        bar = progress.add_task("waits for its turn", total=100)

        def show(state: AnonState) -> None:
            progress.update(bar, completed=state.bootstrap_percent, description=state.phase)

        async def keep() -> None:
            await AnonKeeper(settings, keys, on_state=show).run(stop_on_signals())

        asyncio.run(keep())
