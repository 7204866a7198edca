"""Where the `anon` binary is."""

from pathlib import Path

from runtime.anon.errors import AnonNotInstalled
from runtime.settings import Settings

SDK_PLACE = Path(".anyone_protocol_sdk", "bin", "anon")
"""Below the home folder: where the SDK looks (its binary.py)."""


def find_binary(settings: Settings) -> Path:
    """The binary that the settings name, or the one where the SDK looks for it.

    Raises: AnonNotInstalled.
    """
    if settings.anon_binary is not None:
        if not settings.anon_binary.is_file():
            raise AnonNotInstalled(f"VEILRUN_ANON_BINARY: there is no file {settings.anon_binary}")
        return settings.anon_binary
    binary = Path.home() / SDK_PLACE
    if not binary.is_file():
        raise AnonNotInstalled("anon is not installed: run `veilrun anon install`")
    return binary
