"""The ports that our daemon listens on: chosen once and kept, so that a daemon started again is found where it was."""

import json
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

HOST = "127.0.0.1"
FILE = "ports.json"


@dataclass(frozen=True, slots=True)
class Ports:
    """On 127.0.0.1."""

    socks: int
    control: int
    exit_socks: int


def kept_ports(folder: Path) -> Ports:
    """The ports noted in `folder`; new ones if there are none, or something else listens there by now."""
    try:
        ports = Ports(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        if all(_is_free(port) for port in asdict(ports).values()):
            return ports
    except (FileNotFoundError, ValueError, TypeError):
        pass
    ports = Ports(*_free_ports(3))
    (folder / FILE).write_text(json.dumps(asdict(ports)), encoding="utf-8")
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
