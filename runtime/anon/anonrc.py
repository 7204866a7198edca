"""The configuration files of our daemons, written by us: the SDK's own writer makes a control port open to everybody.

Option names and meanings: anon(1) of 0.4.9.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.anon.errors import AnonError
from runtime.anon.state import HostPort

AUTHORIZATIONS = "authorizations"
"""Below the data folder: the keys by which hidden services know us."""

HIDDEN_ONLY = "ExtendedErrors OnionTrafficOnly KeepAliveIsolateSOCKSAuth"
"""Reasons instead of "general failure"; nothing but hidden services; circuits kept while they are in use."""


class ExtraLinesUnreadable(AnonError):
    """VEILRUN_ANON_EXTRA_RC names a file that cannot be read."""


@dataclass(frozen=True, slots=True)
class Common:
    """What every daemon of ours has. extra: a file whose lines come last, or None. geoip: the binary's folder."""

    data_dir: Path
    control: HostPort
    binary: Path
    extra: Path | None = None

    def lines(self) -> list[str]:
        """Raises: ExtraLinesUnreadable."""
        lines = [
            "AgreeToTerms 1",
            f"DataDirectory {self.data_dir}",
            f"ControlPort {self.control[0]}:{self.control[1]}",
            "CookieAuthentication 1",
            f"CookieAuthFile {self.cookie}",
            "SafeLogging 1",
            "AvoidDiskWrites 1",
            "Log notice stdout",
            f"Log notice file {self.log}",
        ]
        for option, name in (("GeoIPFile", "geoip"), ("GeoIPv6File", "geoip6")):
            file = self.binary.resolve().with_name(name)
            if file.is_file():
                lines.append(f"{option} {file}")
        return lines

    @property
    def cookie(self) -> Path:
        return self.data_dir / "control_auth_cookie"

    @property
    def log(self) -> Path:
        return self.data_dir / "notice.log"

    def extra_lines(self) -> list[str]:
        if self.extra is None:
            return []
        try:
            return self.extra.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ExtraLinesUnreadable(f"VEILRUN_ANON_EXTRA_RC: {self.extra}: {error.strerror}") from error


def client_rc(common: Common, socks: HostPort, exit_socks: HostPort | None = None) -> str:
    """A client's configuration. exit_socks: a second port for names that are no hidden service."""
    lines = [
        *common.lines(),
        "ClientOnly 1",
        f"SocksPort {socks[0]}:{socks[1]} {HIDDEN_ONLY}",
        f"ClientOnionAuthDir {private_folder(common.data_dir / AUTHORIZATIONS)}",
        "SocksTimeout 60",
        "DormantCanceledByStartup 1",
    ]
    if exit_socks is not None:
        lines.append(f"SocksPort {exit_socks[0]}:{exit_socks[1]} ExtendedErrors NoOnionTraffic")
    return _text([*lines, *common.extra_lines()])


@dataclass(frozen=True, slots=True)
class HiddenService:
    """One service: its folder (key, address, authorized clients) and where each of its ports leads."""

    folder: Path
    ports: Sequence[tuple[int, HostPort]]


def service_rc(common: Common, services: Sequence[HiddenService], *, single_hop: bool = False) -> str:
    """A hidden service's configuration; it opens no SOCKS port.

    single_hop: the service connects to its introduction and rendezvous points directly. Clients stay anonymous, the
    machine that runs the service does not.
    """
    lines = [*common.lines(), "SocksPort 0"]
    if single_hop:
        lines += ["HiddenServiceSingleHopMode 1", "HiddenServiceNonAnonymousMode 1"]
    for service in services:
        lines += [f"HiddenServiceDir {service.folder}", "HiddenServiceVersion 3"]
        lines += [f"HiddenServicePort {port} {host}:{target}" for port, (host, target) in service.ports]
    return _text([*lines, *common.extra_lines()])


def write_rc(path: Path, text: str) -> None:
    """Write the file so that only this user can read it."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")


def private_folder(path: Path) -> Path:
    """The folder, made if needed, open to this user only: the daemon refuses others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(path, 0o700)
    return path


def _text(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"
