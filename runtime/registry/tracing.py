"""Hook tracing: which hook of which plugin was called, how long it took, and what kind of answer it gave."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pluggy
import structlog

log = structlog.get_logger("veilrun.hooks")


def trace_hooks(manager: pluggy.PluginManager, plugin: str) -> None:
    """Log every call of a hook of `plugin`: never what it is called with, nor what it gives back, but its kind."""
    began: list[float] = []

    def before(hook: str, implementations: Sequence[pluggy.HookImpl], arguments: Mapping[str, Any]) -> None:
        began.append(time.perf_counter())

    def after(
        outcome: pluggy.Result[Any], hook: str, implementations: Sequence[pluggy.HookImpl], arguments: Mapping[str, Any]
    ) -> None:
        milliseconds = round((time.perf_counter() - began.pop()) * 1000, 3)
        error = outcome.exception
        if error is not None:
            log.info("hook raised", plugin=plugin, hook=hook, milliseconds=milliseconds, error=type(error).__name__)
            return
        log.info("hook called", plugin=plugin, hook=hook, milliseconds=milliseconds, gave=_kinds(outcome.get_result()))

    manager.add_hookcall_monitoring(before, after)


def _kinds(result: object) -> list[str]:
    return [type(answer).__name__ for answer in result] if isinstance(result, list) else [type(result).__name__]
