"""Runs the queue, one prompt at a time, and tells about it in ComfyUI's order of events."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.sandbox.comfyui.catalogue import Catalogue
from runtime.sandbox.comfyui.faults import Faults
from runtime.sandbox.comfyui.models import is_model_file
from runtime.sandbox.comfyui.node_progress import NodeProgress
from runtime.sandbox.comfyui.nodes import RECIPES, Interrupted, NodeFailure, NodeRun
from runtime.sandbox.comfyui.nodes.fallback import pass_on
from runtime.sandbox.comfyui.nodes.recipe import OutOfMemory, Preview, Residence
from runtime.sandbox.comfyui.order import Graph, RunOrder, inputs_of, links
from runtime.sandbox.comfyui.pace import Pace
from runtime.sandbox.comfyui.painting.painter import Painter
from runtime.sandbox.comfyui.prompt_queue import History, PromptQueue, QueueItem
from runtime.sandbox.comfyui.result_cache import NodeResult, ResultCache
from runtime.sandbox.comfyui.run_journal import RunJournal
from runtime.sandbox.comfyui.sockets import Sockets
from runtime.sandbox.comfyui.storage import Storage

Json = dict[str, Any]

HISTORY_LAG_SECONDS = 0.001
"""Between execution_success and the history entry: a client that asks at once often finds nothing."""

OUT_OF_MEMORY_TIPS = (
    "This error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked before you might have "
    "accidentally set the batch_size to a large number."
)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a worker works with."""

    catalogue: Catalogue
    storage: Storage
    faults: Faults
    sockets: Sockets
    painter: Painter
    pace: Pace
    residence: Residence
    has_previews: bool = False
    has_metadata: bool = True
    journal: RunJournal | None = None


class Worker:
    """Takes prompts from the queue and leaves them in the history. `on_change` is called when one starts or ends."""

    def __init__(self, machine: Machine, queue: PromptQueue, history: History, on_change: Callable[[], None]) -> None:
        self._machine, self._queue, self._history, self._on_change = machine, queue, history, on_change
        self._cache = ResultCache(machine.storage)
        self._interrupt = asyncio.Event()
        self.held: set[str] = set()
        """Ids of nodes that wait because of `Faults.hold`."""

    async def run(self) -> None:
        """Work for ever."""
        while True:
            item = await self._queue.take()
            if item is not None:
                await self._work_off(item)
            for flag in self._queue.take_flags():
                self._machine.residence.files.clear()
                if flag == "free_memory":
                    self._cache.clear()
                    self._machine.faults.stale_answers = 0

    def interrupt(self) -> None:
        """Stop what runs at its next progress step or node start; while idle this has no effect on the next run."""
        self._interrupt.set()

    async def _work_off(self, item: QueueItem) -> None:
        machine = self._machine
        self._interrupt.clear()
        machine.sockets.client_id = item.extra.get("client_id")
        self._on_change()
        if machine.journal is not None:
            machine.journal.write("began", item.prompt_id)
        run = PromptRun(machine, self._cache, item, self._interrupt, self.held)
        entry = await run.execute()
        if machine.journal is not None:
            status = entry["status"]["status_str"]
            machine.journal.write("ended", item.prompt_id, executed=run.executed, status=status)
        machine.sockets.last_node_id = None
        await asyncio.sleep(HISTORY_LAG_SECONDS + machine.faults.history_lag_seconds)
        self._history.add(self._queue.finish(), entry)
        machine.sockets.send_status()
        if machine.sockets.client_id is not None:
            ended = {"node": None, "prompt_id": item.prompt_id}
            machine.sockets.send("executing", ended, machine.sockets.client_id)
        self._on_change()


class PromptRun:
    """One prompt from execution_start to its history entry."""

    def __init__(
        self, machine: Machine, cache: ResultCache, item: QueueItem, interrupt: asyncio.Event, held: set[str]
    ) -> None:
        self._machine, self._cache, self._item, self._interrupt, self._held = machine, cache, item, interrupt, held
        self._graph: Graph = item.graph
        self._progress = NodeProgress(item.prompt_id, machine.sockets)
        self._messages: list[list[Any]] = []
        self.executed: list[str] = []
        """Ids of the nodes that ran, in order, and so were not answered from the cache."""
        self._needed_files = _model_files(self._graph)

    async def execute(self) -> Json:
        """Run it and return the history entry without its prompt."""
        self._tell("execution_start", {"prompt_id": self._item.prompt_id})
        self._cache.open_prompt(self._graph)
        if self._machine.faults.spend("stale_answers"):
            self._remember_lost_files()
        cached = [node_id for node_id in self._graph if self._cache.get(node_id) is not None]
        self._tell("execution_cached", {"nodes": cached, "prompt_id": self._item.prompt_id})
        is_success = await self._run_nodes(cached)
        outputs, meta = self._shown()
        status = "success" if is_success else "error"
        return {
            "outputs": outputs,
            "status": {"status_str": status, "completed": is_success, "messages": self._messages},
            "meta": meta,
        }

    async def _run_nodes(self, cached: list[str]) -> bool:
        order = RunOrder(self._graph, cached, lambda node_id: self._machine.catalogue.is_output(self._class(node_id)))
        for output in self._item.outputs:
            order.add(output)
        while order:
            node_id = order.next()
            try:
                await self._run_node(node_id)
            except Interrupted:
                self._tell("execution_interrupted", self._where(node_id), to_all=True)
                return False
            except Exception as error:  # noqa: BLE001 - a node may fail in any way, and the server reports them all
                self._tell("execution_error", self._where(node_id) | self._failure(node_id, error))
                return False
            order.done(node_id)
        self._tell("execution_success", {"prompt_id": self._item.prompt_id})
        return True

    async def _run_node(self, node_id: str) -> None:
        result = self._cache.get(node_id)
        if result is not None:
            self._send_executed(node_id, result)
            self._progress.finish(node_id)
            return
        self._progress.start(node_id)
        sockets = self._machine.sockets
        if sockets.client_id is not None:
            sockets.last_node_id = node_id
            where = {"node": node_id, "display_node": node_id, "prompt_id": self._item.prompt_id}
            sockets.send("executing", where, sockets.client_id)
        result = await self._result(node_id)
        if result.shown is not None:
            self._send_executed(node_id, result)
        self._cache.put(node_id, result)
        self._progress.finish(node_id)
        self.executed.append(node_id)

    async def _result(self, node_id: str) -> NodeResult:
        machine, class_type = self._machine, self._class(node_id)
        await asyncio.sleep(0)
        self._stop_if_interrupted()
        await self._wait_while_held(node_id)
        if not machine.faults.out_of_memory.isdisjoint((node_id, class_type)):
            raise OutOfMemory
        for name in (node_id, class_type):
            if name in machine.faults.fail:
                raise ValueError(machine.faults.fail[name])
        run = NodeRun(
            node_id=node_id,
            inputs=self._inputs(node_id),
            report=lambda step, steps, preview: self._report(node_id, step, steps, preview),
            needed_files=self._needed_files,
            png_texts=self._texts() if machine.has_metadata else {},
            storage=machine.storage,
            faults=machine.faults,
            pace=machine.pace,
            painter=machine.painter,
            residence=machine.residence,
            has_previews=machine.has_previews,
        )
        if seconds := machine.pace.class_seconds.get(class_type):
            await run.wait(seconds)
        recipe = RECIPES.get(class_type)
        return await recipe(run) if recipe else await pass_on(run, machine.catalogue.outputs(class_type))

    def _report(self, node_id: str, step: int, steps: int, preview: Preview | None) -> None:
        self._stop_if_interrupted()
        self._progress.update(node_id, step, steps, preview)

    def _stop_if_interrupted(self) -> None:
        if self._interrupt.is_set():
            self._interrupt.clear()
            raise Interrupted

    async def _wait_while_held(self, node_id: str) -> None:
        names = {node_id, self._class(node_id)}
        while not self._machine.faults.hold.isdisjoint(names):
            self._held.add(node_id)
            try:
                await asyncio.sleep(0.005)
                self._stop_if_interrupted()
            finally:
                self._held.discard(node_id)

    def _inputs(self, node_id: str) -> Json:
        """Literals of declared inputs, and the values at the other end of its links."""
        node = self._graph[node_id]
        declared = self._machine.catalogue.inputs(node["class_type"])
        inputs = {name: value for name, value in inputs_of(node).items() if name in declared}
        for name, (source, slot) in links(node).items():
            result = self._cache.get(source)
            if name in declared and result is not None:
                inputs[name] = result.outputs[int(slot)]
        return inputs

    def _texts(self) -> dict[str, str]:
        extra = self._item.extra.get("extra_pnginfo") or {}
        return {"prompt": json.dumps(self._graph)} | {name: json.dumps(value) for name, value in extra.items()}

    def _remember_lost_files(self) -> None:
        """Pretend that this very graph ran before and that its files were deleted since."""
        for node_id in self._graph:
            lost = {"filename": "lost_00001_.png", "subfolder": "", "type": "output"}
            is_output = self._machine.catalogue.is_output(self._class(node_id))
            self._cache.put(node_id, NodeResult(shown={"images": [lost]} if is_output else None))

    def _shown(self) -> tuple[Json, Json]:
        outputs, meta = {}, {}
        for node_id in self._graph:
            result = self._cache.get(node_id)
            if result is not None and result.shown is not None:
                outputs[node_id] = result.shown
                place = {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}
                meta[node_id] = place
        return outputs, meta

    def _send_executed(self, node_id: str, result: NodeResult) -> None:
        sockets = self._machine.sockets
        if sockets.client_id is not None:
            told = {"node": node_id, "display_node": node_id, "output": result.shown}
            sockets.send("executed", told | {"prompt_id": self._item.prompt_id}, sockets.client_id)

    def _where(self, node_id: str) -> Json:
        place = {"prompt_id": self._item.prompt_id, "node_id": node_id, "node_type": self._class(node_id)}
        return place | {"executed": list(self.executed)}

    def _failure(self, node_id: str, error: Exception) -> Json:
        tips = ""
        if isinstance(error, OutOfMemory):
            self._machine.residence.files.clear()
            tips = OUT_OF_MEMORY_TIPS
        type_name = error.type_name if isinstance(error, NodeFailure) else _full_name(type(error))
        return {
            "exception_message": f"{error}\n{tips}",
            "exception_type": type_name,
            "traceback": [
                '  File "execution.py", in execute\n',
                f'  File "nodes.py", in {self._class(node_id)}\n    raise {type_name}\n',
            ],
            "current_inputs": {name: [_formatted(value)] for name, value in self._inputs(node_id).items()},
            "current_outputs": list(self._graph),
        }

    def _tell(self, event: str, content: Json, *, to_all: bool = False) -> None:
        """Note the event for the history and send it. Without a client id only what is `to_all` is sent."""
        content = content | {"timestamp": int(time.time() * 1000)}
        self._messages.append([event, content])
        client_id = self._machine.sockets.client_id
        if client_id is not None or to_all:
            self._machine.sockets.send(event, content, client_id)

    def _class(self, node_id: str) -> str:
        return str(self._graph[node_id]["class_type"])


def _model_files(graph: Graph) -> tuple[str, ...]:
    """The model files that a graph names, in its order."""
    return tuple(
        value for node in graph.values() for name, value in inputs_of(node).items() if is_model_file(name, value)
    )


def _full_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _formatted(value: object) -> object:
    return value if value is None or isinstance(value, (int, float, bool, str)) else str(value)
