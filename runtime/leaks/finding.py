"""What the battery says about one scenario."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen while a scenario was played; the first four are empty if nothing leaked.

    packets: what tried to leave, or to reach something on loopback around the proxy. questions: names given to a
    resolver, whether or not it asked on the wire. trapped: connections to the proxy that the environment names.
    strays: hosts asked of the right proxy that it was wrong to ask for.
    raised: the types of veilrun's errors on the way. fault: what else was not as it must be.
    is_control: it leaks on purpose, and is all right if that was seen.
    """

    scenario: str
    packets: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    trapped: int = 0
    strays: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()
    fault: str = ""
    is_control: bool = False

    @property
    def leaks(self) -> int:
        """How many things were seen that must not be there."""
        return len(self.packets) + len(self.questions) + self.trapped + len(self.strays)

    @property
    def ok(self) -> bool:
        """Whether veilrun, or for a control the instrument, did what it must."""
        return not self.fault and (self.is_control or self.leaks == 0)

    def __str__(self) -> str:
        seen = [
            f"{len(self.packets)} packets",
            f"{len(self.questions)} DNS questions",
            *([f"{self.trapped} connections to the environment's proxy"] if self.trapped else []),
            *([f"{len(self.strays)} strays at the proxy"] if self.strays else []),
        ]
        raised = f"; {', '.join(self.raised)}" if self.raised else ""
        return f"{self.scenario}: {', '.join(seen)}{raised}" + (f"; {self.fault}" if self.fault else "")
