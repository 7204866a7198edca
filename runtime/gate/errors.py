"""What can go wrong with the gate itself. What it refuses is an HTTP answer, see `answers`."""

from runtime.api.errors import VeilrunError


class GateError(VeilrunError):
    """The gate cannot do its work."""


class UpstreamInvalid(GateError):
    """The address of ComfyUI cannot be used."""


class FoldersUnusable(GateError):
    """A folder of ComfyUI is not there, or its files cannot be deleted."""
