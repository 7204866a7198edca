"""What can go wrong with the daemon: one class per thing the operator can do about it."""

from runtime.api.errors import VeilrunError


class AnonError(VeilrunError):
    """Something about `anon` on this machine is not as it has to be."""


class AnonNotInstalled(AnonError):
    """No `anon` binary where the SDK looks for it, nor where the settings say: run `veilrun anon install`."""


class InstallFailed(AnonError):
    """The binary could not be put in place; nothing was changed."""


class TermsNotAccepted(AnonError):
    """The terms of the Anyone network have to be accepted by the operator, in a setting: nobody else does it."""


class AnonFailed(AnonError):
    """The daemon did not start or ended. The text quotes the reason from its log."""


class ControlFailed(AnonError):
    """The daemon's control port refused a question or did not answer."""
