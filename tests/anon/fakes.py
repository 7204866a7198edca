"""Programs that stand in for real ones: shell scripts."""

from pathlib import Path


def script(text: str) -> bytes:
    return f"#!/bin/sh\n{text}\n".encode()


def fake_anon(version: str) -> bytes:
    """What answers --version as the real one does."""
    return script(f"echo 'Anon version {version}.'\necho 'Anon is running on Linux with Libevent 2.1.12-stable.'")


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755)
    return path
