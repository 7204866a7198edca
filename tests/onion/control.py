"""One control connection to a daemon that we started: ask, and wait for what it tells of its own accord."""

import socket
import time
from collections import deque


class ConnectionLost(Exception):
    """The daemon ended, or closed the connection."""


class Refused(Exception):
    """The daemon answered with something else than 250."""


class Control:
    """A connection over `link`, which is the owner's to the daemon: authenticated, and when it closes the daemon ends.

    Not thread-safe.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._received = bytearray()
        self._events: deque[str] = deque()

    def ask(self, line: str, timeout: float = 10) -> str:
        """The reply to `line`, its data included, lines ended by a newline.

        Raises: Refused, ConnectionLost, TimeoutError.
        """
        deadline = time.monotonic() + timeout
        self._send(line)
        while (reply := self._message(deadline)).startswith("650"):
            self._events.append(reply)
        if not reply.startswith("250"):
            raise Refused(f"{line.partition(' ')[0]}: {reply.strip()}")
        return reply

    def event(self, deadline: float) -> str:
        """The next event asked for with SETEVENTS. deadline: on the clock time.monotonic()."""
        return self._events.popleft() if self._events else self._message(deadline)

    def close(self) -> None:
        self._link.close()

    def _send(self, line: str) -> None:
        try:
            self._link.sendall(line.encode() + b"\r\n")
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def _message(self, deadline: float) -> str:
        """One reply or event: lines `CODE-text`, data after `CODE+text` up to a dot, and `CODE text` at its end."""
        lines: list[str] = []
        while True:
            lines.append(line := self._line(deadline))
            if line[3:4] == "+":
                while (line := self._line(deadline)) != ".":
                    lines.append(line)
            elif line[3:4] == " ":
                return "\n".join(lines) + "\n"

    def _line(self, deadline: float) -> str:
        while (end := self._received.find(b"\r\n")) < 0:
            self._link.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                received = self._link.recv(65536)
            except TimeoutError:
                raise
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not received:
                raise ConnectionLost("closed by the daemon")
            self._received += received
        line = self._received[:end].decode()
        del self._received[: end + 2]
        return line
