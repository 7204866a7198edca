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


@pytest.mark.skipif(os.geteuid() != 0, reason="whatever is tested here is tested without root's rights already")
def test_no_right_of_roots_is_needed() -> None:
    if subprocess.run([*AS_NOBODY, sys.executable, "-c", "import runtime.leaks"], capture_output=True).returncode != 0:
        pytest.skip("the user nobody cannot read this tree")

    findings = asyncio.run(collect(*AS_NOBODY))

    assert [str(finding) for finding in findings.values() if not finding.ok] == []
    assert len(findings) == len(SCENARIOS)


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
