"""The daemon's circuits. The SDK's own list fails at every circuit to a hidden service: an unknown purpose."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from runtime.anon.errors import ControlFailed
from runtime.anon.sdk import Control

_HOP = re.compile(r"\$?([0-9A-F]{40})(?:[~=](\w+))?")


@dataclass(frozen=True, slots=True)
class Hop:
    """One relay of a circuit. country: two letters, "??" if it is not known."""

    fingerprint: str
    nickname: str
    country: str = "??"


@dataclass(frozen=True, slots=True)
class Circuit:
    """One circuit. state: BUILT, EXTENDED, …; purpose: HS_CLIENT_REND is one that carries our traffic.

    isolated: whether it belongs to one lane alone.
    """

    id: str
    state: str
    purpose: str
    path: tuple[Hop, ...]
    isolated: bool

    @property
    def carries_traffic(self) -> bool:
        return self.purpose == "HS_CLIENT_REND" and self.state == "BUILT"


def parse_circuits(text: str) -> list[Circuit]:
    """What GETINFO circuit-status answers (control-spec.txt, CIRC events): one line each. Countries are not in it."""
    return [_circuit(line) for line in text.splitlines() if line.strip()]


def _circuit(line: str) -> Circuit:
    words = line.split()
    fields = dict(word.split("=", 1) for word in words if "=" in word and not word.startswith("$"))
    path = words[2] if len(words) > 2 and words[2].startswith("$") else ""
    hops = tuple(Hop(found[1], found[2] or "") for found in map(_HOP.fullmatch, path.split(",")) if found)
    return Circuit(words[0], words[1], fields.get("PURPOSE", ""), hops, "SOCKS_USERNAME" in fields)


async def circuits(control: Control) -> list[Circuit]:
    """The circuits there are, with the countries of their relays. Raises: ControlFailed."""
    found = parse_circuits(await control.get_info("circuit-status"))
    countries = {hop: await _country(control, hop) for hop in _relays(found)}
    return [
        Circuit(
            circuit.id,
            circuit.state,
            circuit.purpose,
            tuple(Hop(hop.fingerprint, hop.nickname, countries[hop.fingerprint]) for hop in circuit.path),
            circuit.isolated,
        )
        for circuit in found
    ]


def _relays(found: Iterable[Circuit]) -> set[str]:
    return {hop.fingerprint for circuit in found for hop in circuit.path}


async def _country(control: Control, fingerprint: str) -> str:
    """By the daemon's own map of addresses; "??" if the relay or its country is not known."""
    try:
        status = await control.get_info(f"ns/id/{fingerprint}")
        address = next(line.split()[6] for line in status.splitlines() if line.startswith("r "))
        return await control.get_info(f"ip-to-country/{address}")
    except (ControlFailed, StopIteration, IndexError):
        return "??"
