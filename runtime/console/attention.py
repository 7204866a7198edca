"""What wants an operator's attention, worst first. A pure function of what is known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from db.console import COUNTED
from runtime.console.snapshot import Backend, Snapshot
from runtime.console.words import counted, span
from runtime.registry import Registry

LONG_SECONDS = 600.0
"""Who has waited for so long, though nothing is wrong, is worth a word."""

MANY = 50
"""So many messages that wait to be sent: Telegram is slow, away, or told us to wait."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to know. tone: bad = people are kept from their pictures, warn = look at it. href: where to act, below
    the console's root."""

    tone: Literal["bad", "warn"]
    title: str
    text: str
    href: str


def attention(seen: Snapshot, registry: Registry, problem: str | None) -> Sequence[Notice]:
    """problem: why the registry file as it is now was refused, None if it was not."""
    notices = [*_registry(registry, problem), *_fleet(seen), *_jobs(seen)]
    return sorted(notices, key=lambda notice: notice.tone != "bad")


def _registry(registry: Registry, problem: str | None) -> Iterator[Notice]:
    if problem is not None:
        first = problem.partition("\n")[0]
        yield Notice("bad", "The registry file was refused, the old one stays in force", first, "plugins")
    for plugin in registry.plugins:
        if plugin.enabled and plugin.error:
            yield Notice("bad", f"Plugin {plugin.name} is not active", plugin.error, "plugins")


def _fleet(seen: Snapshot) -> Iterator[Notice]:
    if not any(backend.takes_jobs for backend in seen.backends):
        text = "nothing can run" if seen.backends else "add one to the registry file; every web process reads it again"
        yield Notice("bad", "No backend takes jobs", text, "backends")
    for backend in seen.backends:
        yield from _backend(backend)


def _backend(backend: Backend) -> Iterator[Notice]:
    href = f"backends/{backend.name}"
    if backend.is_drained:
        yield Notice("warn", f"{backend.name} is drained", backend.listed.drain_reason or "no reason was given", href)
    elif backend.listed.health != "ready" and not backend.is_gone:
        words = "is away" if backend.listed.health == "away" else "has not been checked yet"
        tone: Literal["bad", "warn"] = "bad" if backend.listed.health == "away" else "warn"
        yield Notice(tone, f"{backend.name} {words}", backend.listed.health_reason or "", href)
    for circuit in backend.circuits:
        words = f"it failed there {circuit.failures} times in a row ({circuit.error})"
        yield Notice("warn", f"{circuit.bucket} is in quarantine on {backend.name}", words, href)
    if backend.listed.doubt:
        yield Notice("warn", f"{backend.name} does not fit the registry", backend.listed.doubt, href)
    for view in backend.unseen:
        yield Notice("warn", f"{backend.name} is not reached from {view.machine}", view.reason or "", href)
    if backend.listed.missing:
        lacks = backend.listed.missing
        first = next(f"{command}: {why}" for command, why in sorted(lacks.items()))
        more = f", and {len(lacks) - 1} more" if len(lacks) > 1 else ""
        yield Notice("warn", f"{backend.name} cannot run every command", f"{first}{more}", href)


def _jobs(seen: Snapshot) -> Iterator[Notice]:
    if seen.heaps.dead:
        number = counted(seen.heaps.dead, COUNTED)
        title = f"{number} dead letter{'' if seen.heaps.dead == 1 else 's'}"
        yield Notice("warn", title, "their tries are used up; replay them when the cause is gone", "dead")
    if seen.heaps.owed >= MANY:
        text = "Telegram is slow or away, or asked for a pause; they are sent when it takes them"
        yield Notice(
            "warn", f"{counted(seen.heaps.owed, COUNTED)} messages wait to be sent", text, "jobs?state=collected"
        )
    if seen.oldest_seconds > LONG_SECONDS:
        yield Notice("warn", f"A job has waited for {span(seen.oldest_seconds)}", "the queue says what for", "queue")
