"""A private Anon network on loopback, made of the real binary: no public relay is ever asked.

    with PrivateNetwork(anon_binary) as network:
        service = network.service(target_port=8188)
        client = network.client()
        # http://{service.address}/ through SOCKS 5 at client.socks

The authority votes when it has the descriptor of every relay, so the first consensus is complete. With a vote by
the clock it may list a part of them, and every relay would keep that part until it is due to fetch another.
"""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Self, TypeVar

from tests.onion.daemon import Daemon, options
from tests.onion.members import Client, Service
from tests.onion.relays import Authority, Relay

MEMBER = """
    TestingTorNetwork 1
    Address 127.0.0.1
    OutboundBindAddress 127.0.0.1
    UseDefaultFallbackDirs 0
    EnforceDistinctSubnets 0
    AssumeReachable 1
    PathsNeededToBuildCircuits 0.67
    VanguardsLiteEnabled 0
    HiddenServiceStatistics 0
    ShutdownWaitLength 0
    AvoidDiskWrites 1
    NumCPUs 1
"""
DIRECTORY = ("cached-certs", "cached-microdesc-consensus", "cached-microdescs", "cached-microdescs.new")

Running = TypeVar("Running", bound=Daemon)


class PrivateNetwork:
    """The network; services and clients are added to it while it runs. All of them end with it.

    binary: anon, with anon-gencert beside it. relay_options: more lines for every relay, such as rate limits.
    Every call waits until what it gives is ready, and blocks meanwhile: in a coroutine, use asyncio.to_thread.
    """

    def __init__(self, binary: Path, *, relays: int = 3, exits: int = 1, relay_options: Sequence[str] = ()) -> None:
        self.binary = binary
        self.relays: list[Relay] = []
        self._names = [*(f"relay{n}" for n in range(relays)), *(f"exit{n}" for n in range(exits))]
        self._relay_options = list(relay_options)
        self._member_lines: list[str] = []
        self._numbers = count(1)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="veilrun-onion-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._start_relays(stack)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def extra_rc(self, folder: Path) -> Path:
        """Write all lines that any client or service needs to be part of this network, into a file in `folder`."""
        path = folder / "private-network.anonrc"
        path.write_text("\n".join(self._member_lines) + "\n", encoding="utf-8")
        return path

    def seed(self, data_dir: Path) -> None:
        """Give a daemon that does not run yet the directory of a relay: it bootstraps in about 1 s then."""
        for name in DIRECTORY:
            if (self.relays[0].folder / name).exists():
                shutil.copy(self.relays[0].folder / name, data_dir / name)

    def service(
        self,
        target_port: int,
        *,
        virtual_port: int = 80,
        authorized: Mapping[str, str] | None = None,
        lines: Sequence[str] = (),
    ) -> Service:
        """A running hidden service in front of 127.0.0.1:target_port, with its descriptors published.

        authorized: public keys (x25519, base32) by name; without any it is open to all. lines: more for its anonrc.
        """
        folder = self.folder / f"service{next(self._numbers)}"
        lines = [*self._member_lines, *lines]
        return self._run(Service(self.binary, folder, target_port, virtual_port, authorized or {}, lines))

    def client(self, *, lines: Sequence[str] = ()) -> Client:
        """A running, bootstrapped client. lines: more for its anonrc."""
        folder = self.folder / f"client{next(self._numbers)}"
        return self._run(Client(self.binary, folder, [*self._member_lines, *lines]))

    def _run(self, daemon: Running) -> Running:
        self._open.callback(daemon.stop)
        self.seed(daemon.folder)
        daemon.start()
        return daemon

    def _start_relays(self, stack: ExitStack) -> None:
        resolver = self.folder / "resolv.conf"
        resolver.write_text("nameserver 127.0.0.1:1\n", encoding="ascii")
        lines = [*options(MEMBER), f"ServerDNSResolvConfFile {resolver}", *self._relay_options]
        authority = Authority(self.binary, self.folder / "authority", lines)
        self._member_lines = [*options(MEMBER), authority.trust]
        self.relays = [
            Relay(self.binary, self.folder / name, [*lines, authority.trust], is_exit=name.startswith("exit"))
            for name in self._names
        ]
        for each in (authority, *self.relays):
            stack.callback(each.stop)
            each.launch()
        authority.vote(on_relays=1 + len(self.relays))
        for each in self.relays:
            each.ask("SIGNAL RELOAD")  # they were told "no consensus" and wait: this makes them ask at once
        for each in (authority, *self.relays):
            each.wait_until_bootstrapped()
