"""The keeper as a process: the SDK wants the main thread of one."""

import asyncio

from runtime.anon.client_keys import read_client_keys
from runtime.anon.keeper import AnonKeeper
from runtime.heartbeat import heartbeat
from runtime.registry import load_registry
from runtime.settings import Settings
from runtime.supervisor import die_with_parent, stop_on_signals


def run_anon(settings: Settings) -> None:
    """Keep the daemon until SIGTERM or SIGINT.

    Raises: SettingsInvalid, RegistryInvalid, ClientKeyInvalid, AnonNotInstalled, TermsNotAccepted.
    """
    die_with_parent()
    keys = read_client_keys(load_registry(settings.registry).backends)
    asyncio.run(_keep(AnonKeeper(settings, keys)))


async def _keep(keeper: AnonKeeper) -> None:
    async with heartbeat("anon"):
        await keeper.run(stop_on_signals())
