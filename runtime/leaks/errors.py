"""Why nothing can be said about leaks: one class per thing the operator can do about it."""

from runtime.api.errors import VeilrunError


class LeakCheckImpossible(VeilrunError):
    """The battery did not come to a verdict. That is no sign of a leak, and none of its absence."""


class NamespaceForbidden(LeakCheckImpossible):
    """This machine lets us make no network namespace. The text says what to allow."""


class CaptureMissing(LeakCheckImpossible):
    """There is nothing to catch packets with. The text names the device or permission."""


class CaptureOverrun(LeakCheckImpossible):
    """More packets came than could be kept, so that some were not looked at."""


class BatteryBroken(LeakCheckImpossible):
    """The process that plays the scenarios ended before the last of them."""
