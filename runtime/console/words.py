"""Words and figures of the console."""

from functools import cache

from runtime.api import Command, VeilrunError
from runtime.comfyui import BackendError

_KINDS = {
    "Prompt": "text",
    "Text": "text",
    "Integer": "whole number",
    "Float": "number",
    "Choice": "one of a list",
    "Size": "width × height",
    "Seed": "seed",
    "Duration": "seconds",
    "ImageInput": "pictures",
}
_JSON = {"string": "text", "number": "number", "boolean": "yes or no", "array": "list", "object": "object"}


def span(seconds: float) -> str:
    """A time span in at most two units: `4 s`, `2 min 5 s`, `3 h 12 min`, `2 d 4 h`."""
    whole = max(int(seconds), 0)
    for unit, size, below, smaller in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit} {rest} {below}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def took(seconds: float) -> str:
    """A measured time: `0.8 s`, `12.4 s`, `2 min 5 s`."""
    return f"{seconds:.1f} s" if 0.05 <= seconds < 60 else span(seconds)


def counted(count: int, most: int) -> str:
    """`1000+` for what was counted no further."""
    return f"{most:,}+" if count > most else f"{count:,}"


def kind_of(command: Command | None, name: str, json_type: str) -> str:
    """What sort of value a parameter takes: as its command declares it, else as it is stored."""
    for parameter in command.parameters if command else ():
        if parameter.name == name:
            return _KINDS.get(type(parameter).__name__, type(parameter).__name__)
    return _JSON.get(json_type, json_type)


def meaning(error: str) -> str:
    """What an error of this class name means, in a sentence; empty if it is none of ours."""
    return _meanings().get(error, "")


@cache
def _meanings() -> dict[str, str]:
    """From the classes themselves: those of ComfyUI, and what else this process has loaded."""
    found = {
        "WorkerLost": "The worker died or lost its way; the job's tries were used up.",
        "QueueTimeout": "No GPU became free within the command's limit.",
        "NoBackendFits": "No backend can run it as things are.",
    }
    open_classes: list[type[VeilrunError]] = [VeilrunError, BackendError]
    while open_classes:
        one = open_classes.pop()
        open_classes += one.__subclasses__()
        if one.__doc__:
            found.setdefault(one.__name__, _first_sentence(one.__doc__))
    return found


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().split("\n\n")[0].split()).replace("`", "")
    return paragraph.partition(". ")[0].partition(": ")[0].rstrip(".") + "."
