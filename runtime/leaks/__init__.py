"""The proof that nothing leaves this machine but through the proxy.

`check_leaks` plays every scenario in which a client could be led astray, in a network namespace of its own whose only
way out is watched, and says what was seen. Tests and `veilrun doctor --leaks` use the same.
"""

from runtime.leaks.check import check_leaks
from runtime.leaks.errors import BatteryBroken, CaptureMissing, LeakCheckImpossible, NamespaceForbidden
from runtime.leaks.finding import Finding

__all__ = [
    "BatteryBroken",
    "CaptureMissing",
    "Finding",
    "LeakCheckImpossible",
    "NamespaceForbidden",
    "check_leaks",
]
