"""What the processes of one machine call it, so that they speak of it as one."""

import secrets
import socket
from contextlib import suppress
from pathlib import Path


def machine_name(state_dir: Path) -> str:
    """The host's name, and that of the state folder, which names itself once; containers may share either.

    Where the folder cannot be written, it is the host's name alone.
    """
    host, file = socket.gethostname(), state_dir / "machine"
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            unfinished = state_dir / f"machine.{secrets.token_hex(4)}"
            unfinished.write_text(secrets.token_hex(4), encoding="ascii")
            try:
                file.hardlink_to(unfinished)  # whole or not at all, and the first one stays
            finally:
                unfinished.unlink()
        return f"{host}-{file.read_text(encoding='ascii')[:8]}"
    except (OSError, UnicodeError):
        return host
