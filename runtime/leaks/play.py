"""Playing the scenarios and judging what was seen. Runs in a network of its own."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from runtime.leaks.capture import LOOPBACK, Capture, Caught
from runtime.leaks.finding import Finding
from runtime.leaks.packets import Packet
from runtime.leaks.scenarios import Scenario
from runtime.leaks.socks import HOST
from runtime.leaks.stage import RELAY_FROM, Stage, Trap, staged

SECONDS = 30.0


def play(scenarios: Iterable[Scenario], capture: Capture) -> Iterator[Finding]:
    """Play each in turn; a finding as soon as it is over.

    Every scenario has an event loop of its own, whose end waits for its threads: no attempt of one is still under way
    when the next begins.
    """
    trap = Trap()
    trap.set_environment()
    with tempfile.TemporaryDirectory() as state_dir:
        folder = Path(state_dir) / "anon"  # Settings.anon_dir
        folder.mkdir()
        for scenario in scenarios:
            capture.look()
            stage = asyncio.run(_play(scenario, folder))
            yield judge(scenario, stage, capture.look(), trap.port)


async def _play(scenario: Scenario, folder: Path) -> Stage:
    async with staged(folder) as stage:
        try:
            async with asyncio.timeout(SECONDS):
                await scenario.play(stage)
        except TimeoutError:
            stage.faults.append(f"not over within {SECONDS:g} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            stage.raised.append(type(error).__name__)
            stage.faults.append(f"{type(error).__name__}: {error}")
    return stage


def judge(scenario: Scenario, stage: Stage, caught: Caught, trap_port: int) -> Finding:
    """What was seen, without what had to be: connections to the proxy, and the proxy's own."""
    proxies: set[tuple[str, int | None]] = {(HOST, port) for port in stage.socks.ports}
    beside = [packet for packet in caught.packets if not _belongs(packet, proxies)]
    trapped = [packet for packet in beside if packet.opens and (packet.destination, packet.port) == (HOST, trap_port)]
    strays = [asked.host for asked in stage.socks.requests if not asked.is_name or asked.host not in scenario.names]
    finding = Finding(
        scenario.name,
        packets=tuple(str(packet) for packet in beside if packet not in trapped),
        questions=(*caught.names, *caught.questions),
        trapped=len(trapped),
        strays=tuple(strays),
        raised=tuple(dict.fromkeys(stage.raised)),
        fault="; ".join(stage.faults),
        is_control=bool(scenario.must_see),
    )
    unseen = sorted(sight for sight in scenario.must_see if not getattr(finding, sight))
    return replace(finding, fault=f"blind instrument: it does not see {', '.join(unseen)}") if unseen else finding


def _belongs(packet: Packet, proxies: set[tuple[str, int | None]]) -> bool:
    """Whether it is a connection to the proxy or from it, or an answer on loopback to what is counted already."""
    if packet.device != LOOPBACK:
        return False
    return (packet.destination, packet.port) in proxies or packet.source == RELAY_FROM or packet.protocol == "icmp"
