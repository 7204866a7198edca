"""Whether this machine's anon is there, may run, and has its circuits."""

import asyncio

from runtime.anon.address import suffix_of
from runtime.anon.binary import find_binary
from runtime.anon.circuits import circuits
from runtime.anon.errors import AnonError, AnonNotInstalled, ControlFailed, InstallFailed, TermsNotAccepted
from runtime.anon.install import version_of
from runtime.anon.keeper import check_startable
from runtime.anon.sdk import Control, connected
from runtime.anon.state import HostPort, read_state
from runtime.doctor.deployment import Deployment
from runtime.doctor.line import Line, fault, ok, warning
from runtime.settings import Settings, SettingsInvalid

SUBJECT = "anon"
START = "`veilrun up` starts it, `veilrun anon run` alone too"


async def check_anon(deployment: Deployment) -> list[Line]:
    """Binary, terms, and the daemon if one runs; none is started."""
    if not deployment.needs_anon:
        return [ok(SUBJECT, "not needed: no backend with transport: anon, and TELEGRAM_VIA=direct")]
    settings = deployment.settings
    return [*await _binary(settings), *_permission(settings), *await _daemon(settings)]


async def _binary(settings: Settings) -> list[Line]:
    try:
        version = await asyncio.to_thread(version_of, find_binary(settings))
    except AnonNotInstalled as error:
        return [fault(SUBJECT, str(error), "run `veilrun anon install`")]
    except InstallFailed as error:
        return [fault(SUBJECT, str(error), "run `veilrun anon install --force`, or set VEILRUN_ANON_BINARY")]
    return [ok(SUBJECT, f"binary {version}, which reaches addresses in {suffix_of(version)}")]


def _permission(settings: Settings) -> list[Line]:
    try:
        check_startable(settings)
    except AnonNotInstalled:
        return []  # said already
    except TermsNotAccepted as error:
        return [fault(SUBJECT, "the terms are not accepted", str(error))]
    except SettingsInvalid as error:
        return [fault(SUBJECT, str(error), "set both, or neither")]
    if settings.anon_socks is not None:
        return [ok(SUBJECT, "a daemon that runs already is used (VEILRUN_ANON_SOCKS)")]
    return [ok(SUBJECT, "terms accepted (VEILRUN_ANON_ACCEPT_TERMS)")]


async def _daemon(settings: Settings) -> list[Line]:
    state = read_state(settings.anon_dir)
    address = settings.anon_control or (state.control if state else None)
    lines = []
    if state is None:
        lines.append(warning(SUBJECT, "no veilrun process keeps it now", START))
    elif not state.is_ready:
        cure = "wait; if it stays so, this machine does not get out to the network"
        lines.append(fault(SUBJECT, f"not connected: {state.bootstrap_percent} %, {state.phase}", cure))
    if address is not None:
        lines += await _control(settings, address)
    return lines


async def _control(settings: Settings, address: HostPort) -> list[Line]:
    try:
        async with connected(find_binary(settings), address, settings.anon_cookie) as control:
            return await _asked(control)
    except ControlFailed as error:
        return [fault(SUBJECT, str(error), "start it again; its control port and cookie must be open to this user")]
    except AnonError:
        return []  # without the binary there is no SDK to ask with, and that has been said


async def _asked(control: Control) -> list[Line]:
    bootstrap, found = await control.bootstrap(), await circuits(control)
    built = [circuit for circuit in found if circuit.state == "BUILT"]
    carrying = [circuit for circuit in built if circuit.carries_traffic]
    version = await control.version()
    lines = [
        ok(SUBJECT, f"daemon {version}: {bootstrap.percent} %, {bootstrap.phase}")
        if bootstrap.percent >= 100
        else warning(SUBJECT, f"daemon {version}: {bootstrap.percent} %, {bootstrap.phase}", "wait until it is there")
    ]
    text = f"{len(built)} circuits, {len(carrying)} of them to backends"
    lines.append(ok(SUBJECT, text) if built else warning(SUBJECT, "no circuit", "wait; they are built when needed"))
    return lines
