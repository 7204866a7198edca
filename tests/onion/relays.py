"""What the private network is made of: an authority that votes when it is told to, and relays."""

import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.onion.daemon import Daemon, free_port, options

VOTING_INTERVAL = 1800
"""Seconds; it has to divide half an hour. Long, so that nothing rotates while tests run."""

VOTE_SECONDS = 5
"""From moving the first vote to the consensus: two delays of 2 s, the least allowed, and 1 s more."""

AUTHORITY = f"""
    AuthoritativeDirectory 1
    V3AuthoritativeDirectory 1
    ContactInfo nobody@example.invalid
    TestingDirAuthVoteGuard *
    TestingDirAuthVoteHSDir *
    TestingMinExitFlagThreshold 0
    TestingMinFastFlagThreshold 0
    TestingV3AuthInitialVotingInterval {VOTING_INTERVAL}
    TestingV3AuthInitialVoteDelay 2
    TestingV3AuthInitialDistDelay 2
    V3AuthVotingInterval {VOTING_INTERVAL}
    V3AuthVoteDelay 2
    V3AuthDistDelay 2
    V3AuthNIntervalsValid 10
"""
RELAY = """
    SocksPort 0
    ServerDNSDetectHijacking 0
    ServerDNSAllowBrokenConfig 1
    ServerDNSTestAddresses
"""
INNER = """
    ExitRelay 0
    ExitPolicy reject *:*
"""
# Clients choose an exit by a summary of its policy, which knows ports but no networks: accepting 127.0.0.0/8 alone
# reads there as accepting nothing. It reaches loopback only, by OutboundBindAddress and by its resolver.
EXIT = """
    ExitRelay 1
    IPv6Exit 0
    ExitPolicyRejectPrivate 0
    ExitPolicy accept *:*
"""


class Relay(Daemon):
    """A relay that hands on, and with `is_exit` also connects to 127.0.0.0/8 for those who ask."""

    events = "STATUS_CLIENT NEWDESC NEWCONSENSUS"

    def __init__(self, binary: Path, folder: Path, lines: Sequence[str], *, is_exit: bool = False) -> None:
        self.port = free_port()
        own = [f"Nickname {folder.name}", f"ORPort 127.0.0.1:{self.port}", *options(EXIT if is_exit else INNER)]
        super().__init__(binary, folder, [*own, *options(RELAY), *lines])


class Authority(Relay):
    """The directory authority. `trust` is the line that makes others believe it."""

    def __init__(self, binary: Path, folder: Path, lines: Sequence[str]) -> None:
        self.directory_port = free_port()
        super().__init__(binary, folder, [f"DirPort 127.0.0.1:{self.directory_port}", *options(AUTHORITY), *lines])
        self._vote_at(time.time() + VOTING_INTERVAL / 2)
        self.trust = (
            f"DirAuthority {self.name} orport={self.port} no-v2 v3ident={self._make_keys()} "
            f"127.0.0.1:{self.directory_port} {self._fingerprint()}"
        )
        self.lines.append(self.trust)

    def vote(self, on_relays: int) -> None:
        """Wait for that many descriptors, then vote, and come back when there is a consensus on all of them."""
        self.wait_for("descriptors of the relays", "GETINFO desc/all-recent", "^router ", on_relays)
        self.ask("SETCONF " + self._vote_at(time.time() + VOTE_SECONDS).replace(" ", "="))
        self.wait_for("first consensus", "GETINFO ns/all", "^r ", on_relays)

    def _vote_at(self, seconds: float) -> str:
        """Write the option that makes a voting interval begin at this Unix time."""
        name = "TestingV3AuthVotingStartOffset"
        self.lines = [line for line in self.lines if not line.startswith(name)]
        self.lines.append(f"{name} {int(seconds) % VOTING_INTERVAL}")
        return self.lines[-1]

    def _make_keys(self) -> str:
        """Make the keys it signs the consensus with; their fingerprint."""
        keys = self.folder / "keys"
        keys.mkdir(mode=0o700)
        certificate = keys / "authority_certificate"
        _run(
            [
                str(self.binary.with_name("anon-gencert")),
                *("--create-identity-key", "--passphrase-fd", "0", "-m", "12"),
                *("-a", f"127.0.0.1:{self.directory_port}", "-i", str(keys / "authority_identity_key")),
                *("-s", str(keys / "authority_signing_key"), "-c", str(certificate)),
            ]
        )
        return _first(r"^fingerprint (\w{40})$", certificate.read_text(encoding="ascii"))

    def _fingerprint(self) -> str:
        """The fingerprint of its relay key, which is made by asking for it. It has to trust somebody to answer."""
        lines, self.lines = self.lines, [*self.lines, f"DirAuthority nobody 127.0.0.1:1 {'F' * 40}"]
        told = _run(self.arguments("--list-fingerprint"))
        self.lines = lines
        return _first(rf"^{self.name} ((?:[0-9A-F]{{4}} ?){{10}})$", told).replace(" ", "")


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, input="passphrase\n", check=True, capture_output=True, text=True).stdout


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"no {pattern} in: {text[-800:]}"
    return found[1]
