"""Every answer of anon's SOCKS port but success."""

from runtime.api import VeilrunError
from runtime.comfyui import BackendMisconfigured, BackendUnreachable
from runtime.leaks.scenarios.scenario import Scenario
from runtime.leaks.socks import Refuse
from runtime.leaks.stage import Stage

REPLIES: dict[int, tuple[str, type[VeilrunError]]] = {
    0x01: ("no reason given", BackendUnreachable),
    0x02: ("not allowed", BackendMisconfigured),
    0x03: ("network unreachable", BackendUnreachable),
    0x04: ("hidden service unreachable", BackendUnreachable),
    0x05: ("nothing listens behind the hidden service", BackendUnreachable),
    0x06: ("no answer in time", BackendUnreachable),
    0x07: ("command not supported", BackendUnreachable),
    0x08: ("address type not supported", BackendUnreachable),
    0xF0: ("descriptor not found", BackendUnreachable),
    0xF1: ("descriptor invalid", BackendUnreachable),
    0xF2: ("introduction failed", BackendUnreachable),
    0xF3: ("rendezvous failed", BackendUnreachable),
    0xF4: ("client key missing", BackendMisconfigured),
    0xF5: ("client key wrong", BackendMisconfigured),
    0xF6: ("address wrong", BackendMisconfigured),
    0xF7: ("introduction timed out", BackendUnreachable),
}


def _replied(code: int, words: str, error: type[VeilrunError]) -> Scenario:
    async def play(stage: Stage) -> None:
        stage.socks.answer = Refuse(code)
        await stage.expect_from_all(error, stage.client())

    return Scenario(f"proxy replies {code:#04x}, {words}", play)


SCENARIOS = tuple(_replied(code, words, error) for code, (words, error) in REPLIES.items())
