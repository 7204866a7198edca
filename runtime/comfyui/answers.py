"""What a ComfyUI server answers, as frozen values. Shapes: ComfyUI 0.3.64, server.py and execution.py."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

FileType: TypeAlias = Literal["output", "temp", "input"]
Outcome: TypeAlias = Literal["success", "error", "interrupted"]


@dataclass(frozen=True, slots=True)
class UploadedImage:
    """Where an upload ended up, which may be under another name than asked for."""

    name: str
    subfolder: str = ""
    type: str = "input"

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "UploadedImage":
        return cls(answer["name"], answer.get("subfolder", ""), answer.get("type", "input"))

    @property
    def reference(self) -> str:
        """What an image input takes: "u.png", "job/1/u.png", "u.png [temp]"."""
        path = f"{self.subfolder}/{self.name}" if self.subfolder else self.name
        return path if self.type == "input" else f"{path} [{self.type}]"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A prompt is queued. `node_errors`: what is wrong with the outputs that the server will leave out."""

    prompt_id: str
    number: float
    node_errors: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "Accepted":
        return cls(str(answer["prompt_id"]), float(answer["number"]), dict(answer.get("node_errors") or {}))

    @property
    def dropped_outputs(self) -> frozenset[str]:
        """Output nodes that failed validation and will silently not run."""
        return frozenset(
            str(node) for fault in self.node_errors.values() for node in fault.get("dependent_outputs", ())
        )


@dataclass(frozen=True, slots=True)
class Queue:
    """Prompt ids only: the server sends everybody's full prompts along, and they are dropped at once.

    running: at most one on today's servers. pending: in the order in which they will run.
    """

    running: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "Queue":
        pending = sorted(answer["queue_pending"], key=lambda item: item[0])  # it comes in heap order
        return cls(tuple(item[1] for item in answer["queue_running"]), tuple(item[1] for item in pending))

    def position(self, prompt_id: str) -> int | None:
        """0 = running, 1 = next, …; None = not in the queue."""
        if prompt_id in self.running:
            return 0
        return self.pending.index(prompt_id) + 1 if prompt_id in self.pending else None


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file that a node wrote. `type` temp is wiped when the server restarts.

    `type` sent: a picture that came over the event socket; it is no file there and has no name.
    """

    node: str
    filename: str
    subfolder: str = ""
    type: str = "output"


@dataclass(frozen=True, slots=True)
class Failure:
    """Which node ended the run, and how. `detail` may quote the prompt."""

    node: str
    class_type: str
    exception_type: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """How a prompt ended.

    files: by output node, in the order the node wrote them. cached: nodes answered from cache. run_seconds: between
    the server's own start and end messages, None if it sent none.
    """

    prompt_id: str
    outcome: Outcome
    files: tuple[OutputFile, ...] = ()
    failure: Failure | None = None
    cached: frozenset[str] = frozenset()
    run_seconds: float | None = None

    @classmethod
    def parse(cls, prompt_id: str, answer: Mapping[str, Any]) -> "History | None":
        """From the answer of GET /history/{id}; None if it has no entry.

        An interrupted run has status_str "error" like a failed one: the last message tells them apart.
        """
        entry = answer.get(prompt_id)
        if entry is None:
            return None
        status = entry.get("status") or {}
        messages = [(str(name), content) for name, content in status.get("messages", ())]
        by_name = dict(messages)
        failure = by_name.get("execution_error") or by_name.get("execution_interrupted")
        outcome: Outcome = "success" if status.get("status_str", "success") == "success" else "error"
        if "execution_interrupted" in by_name:
            outcome = "interrupted"
        stamps = [content["timestamp"] for _, content in messages if "timestamp" in content]
        return cls(
            prompt_id,
            outcome,
            files=files_of(entry.get("outputs") or {}),
            failure=_failure(failure) if failure else None,
            cached=frozenset(map(str, by_name.get("execution_cached", {}).get("nodes", ()))),
            run_seconds=(max(stamps) - min(stamps)) / 1000 if len(stamps) > 1 else None,
        )


def files_of(outputs: Mapping[str, Any]) -> tuple[OutputFile, ...]:
    """The files that nodes wrote, from node -> what it told of its output.

    Videos too are under the key `images`; third-party nodes use others (`gifs`, `videos`): any list will do.
    """
    return tuple(
        OutputFile(str(node), item["filename"], item.get("subfolder", ""), item.get("type", "output"))
        for node, output in outputs.items()
        for listed in (output or {}).values()
        if isinstance(listed, list)
        for item in listed
        if isinstance(item, dict) and item.get("filename")
    )


def _failure(message: Mapping[str, Any]) -> Failure:
    return Failure(
        node=str(message.get("node_id", "")),
        class_type=str(message.get("node_type", "")),
        exception_type=str(message.get("exception_type", "")),
        detail=str(message.get("exception_message", "")).strip(),
    )


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What GET /object_info tells: node class -> its inputs and outputs. `etag`: names this state of it, or ""."""

    classes: Mapping[str, Any]
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """One compute device. Memory in bytes."""

    name: str
    type: str
    index: int | None
    vram_total: int
    vram_free: int


@dataclass(frozen=True, slots=True)
class SystemStats:
    """What GET /system_stats tells. Memory in bytes; `argv` is how the server was started."""

    comfyui_version: str
    python_version: str
    pytorch_version: str
    ram_total: int
    ram_free: int
    argv: tuple[str, ...]
    devices: tuple[Device, ...]

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "SystemStats":
        system = answer["system"]
        return cls(
            comfyui_version=system.get("comfyui_version", ""),
            python_version=system.get("python_version", ""),
            pytorch_version=system.get("pytorch_version", ""),
            ram_total=system.get("ram_total", 0),
            ram_free=system.get("ram_free", 0),
            argv=tuple(system.get("argv", ())),
            devices=tuple(
                Device(item["name"], item["type"], item.get("index"), item["vram_total"], item["vram_free"])
                for item in answer["devices"]
            ),
        )


@dataclass(frozen=True, slots=True)
class Features:
    """What GET /features tells. `max_upload_bytes`: larger uploads get HTTP 413."""

    supports_preview_metadata: bool = False
    max_upload_bytes: int = 100 * 2**20

    @classmethod
    def parse(cls, answer: Mapping[str, Any]) -> "Features":
        size = answer.get("max_upload_size", cls().max_upload_bytes)
        return cls(bool(answer.get("supports_preview_metadata", False)), int(size))
