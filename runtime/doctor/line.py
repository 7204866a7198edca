"""What a check says."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. cure: what to do about it, empty if it is ok."""

    level: Level
    subject: str
    text: str
    cure: str = ""


def ok(subject: str, text: str) -> Line:
    """It is as it should be."""
    return Line("ok", subject, text)


def warning(subject: str, text: str, cure: str) -> Line:
    """It works, or will; it is worth a look."""
    return Line("warning", subject, text, cure)


def fault(subject: str, text: str, cure: str) -> Line:
    """It keeps something from working."""
    return Line("fault", subject, text, cure)
