"""Files as ComfyUI names them: a folder kind, a subfolder and a name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("input", "output", "temp")


@dataclass(frozen=True, slots=True)
class FileRef:
    """One file. kind: input, output or temp."""

    kind: str
    subfolder: str
    name: str

    @classmethod
    def of(cls, entry: Mapping[str, Any], kind: str = "output") -> "FileRef":
        """From an item of a history entry, an upload's answer, or the query of GET /view; each with its own default."""
        name = entry.get("filename", entry.get("name", ""))
        return cls(str(entry.get("type") or kind), str(entry.get("subfolder") or ""), str(name))

    @classmethod
    def parse(cls, text: str) -> "FileRef":
        """From what an image input takes: "u.png", "job/u.png", "u.png [temp]"."""
        path, kind = text, "input"
        for one in KINDS:
            if text.endswith(f" [{one}]"):
                path, kind = text.removesuffix(f" [{one}]"), one
        subfolder, _, name = path.rpartition("/")
        return cls(kind, subfolder, name)


def files_of_outputs(outputs: Any) -> Iterator[FileRef]:
    """The files in the `outputs` of a history entry or the `output` of an `executed` event, under whatever key."""
    if isinstance(outputs, dict):
        if isinstance(outputs.get("filename"), str):
            yield FileRef.of(outputs)
            return
        for value in outputs.values():
            yield from files_of_outputs(value)
    elif isinstance(outputs, list):
        for value in outputs:
            yield from files_of_outputs(value)


def texts_of_graph(graph: Mapping[str, Any]) -> Iterator[str]:
    """Every text that an input of a graph holds, in lists too: a file's name may be among them."""
    values: list[Any] = [node.get("inputs") for node in graph.values() if isinstance(node, dict)]
    while values:
        match values.pop():
            case str() as text:
                yield text
            case dict() as inner:
                values.extend(inner.values())
            case list() as inner:
                values.extend(inner)
