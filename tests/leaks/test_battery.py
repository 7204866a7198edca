"""Nothing leaves but through the proxy, whatever happens: one test a scenario."""

import asyncio
import os
import subprocess
import sys

import pytest

from runtime.leaks import BatteryBroken, CaptureMissing, Finding, NamespaceForbidden, check_leaks
from runtime.leaks.scenarios import SCENARIOS, Scenario
from tests.leaks.conftest import collect

CONTROLS = [scenario for scenario in SCENARIOS if scenario.must_see]
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs", "--")
OWN_TUN = 'mount -t tmpfs none /dev/net && mknod -m "$0" /dev/net/tun c 10 200 && exec "$@"'
POWERLESS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")
HONEST = [scenario for scenario in SCENARIOS if not scenario.must_see]


@pytest.mark.parametrize("scenario", CONTROLS, ids=lambda scenario: scenario.name)
def test_the_instrument_sees_a_leak_on_purpose(findings: dict[str, Finding], scenario: Scenario) -> None:
    finding = findings[scenario.name]

    assert finding.ok, str(finding)
    assert finding.leaks > 0


@pytest.mark.parametrize("scenario", HONEST, ids=lambda scenario: scenario.name)
def test_nothing_leaks(findings: dict[str, Finding], scenario: Scenario) -> None:
    finding = findings[scenario.name]

    assert (finding.packets, finding.questions, finding.trapped, finding.strays) == ((), (), 0, ())
    assert finding.fault == ""


def test_every_scenario_has_a_name_of_its_own(findings: dict[str, Finding]) -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS) == len(findings)


def as_nobody(tun_mode: str) -> tuple[str, ...]:
    """Before a command: run it as the user nobody, where the TUN device has the mode `tun_mode`."""
    around = ("unshare", "--mount", "sh", "-c", OWN_TUN, tun_mode, *AS_NOBODY)
    trial = subprocess.run([*around, sys.executable, "-c", "import runtime.leaks"], capture_output=True, text=True)
    if trial.returncode != 0:
        pytest.skip(f"nobody cannot read this tree, or root may make no device: {trial.stderr.strip()[-200:]}")
    return around


@pytest.mark.skipif(os.geteuid() != 0, reason="whatever is tested here is tested without root's rights already")
def test_no_right_of_roots_is_needed(findings: dict[str, Finding]) -> None:
    as_udev_makes_it = as_nobody("666")

    found = asyncio.run(collect(*as_udev_makes_it))

    assert [str(finding) for finding in found.values() if not finding.ok] == []
    assert len(found) == len(SCENARIOS)


@pytest.mark.skipif(os.geteuid() != 0, reason="a TUN device of our own needs root")
async def test_who_may_not_open_the_tun_device_is_told_how(findings: dict[str, Finding]) -> None:
    around = as_nobody("600")

    with pytest.raises(CaptureMissing, match="chmod 666 /dev/net/tun"):
        async for _ in check_leaks(*around):
            pass


async def test_a_machine_that_forbids_namespaces_is_told_what_to_allow(findings: dict[str, Finding]) -> None:
    """The bound on user namespaces is set to 0 for the process, in a user namespace that root of the machine made."""
    forbid = (
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"',
        "-",
    )
    with pytest.raises(NamespaceForbidden, match=r"max_user_namespaces"):
        async for _ in check_leaks(*forbid, *POWERLESS):
            pass


async def test_a_machine_without_tun_says_so(findings: dict[str, Finding]) -> None:
    hide = (
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        'mount --bind /dev/null /dev/net/tun; exec "$@"',
        "-",
    )
    with pytest.raises(CaptureMissing, match="TUN"):
        async for _ in check_leaks(*hide):
            pass


async def test_a_process_that_ends_early_is_no_proof() -> None:
    with pytest.raises(BatteryBroken):
        async for _ in check_leaks(sys.executable, "-c", "raise SystemExit('gone')"):
            pass
