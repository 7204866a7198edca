"""What was asked, rendered and delivered, laid side by side: what is missing, what is there twice, and why."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

ORPHAN_SECONDS = 15.0
"""Within so long a job whose worker was killed has to be worked on again, while there are a worker and a database."""

MOST_FAILED = 0.02
"""Share of jobs that may use up their tries, each of which was struck."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asked for, and which rows and messages came of it. All times are Unix seconds.

    jobs: ids of the jobs that stand for it. shown: pictures in its chat, in reply to it.
    """

    number: int
    pictures: int
    jobs: Sequence[int]
    shown: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A job at the end. events: kind -> how often it was recorded. result: state of the delivery of its result."""

    id: int
    number: int
    state: str
    error: str | None
    created_at: float
    ended_at: float
    events: Mapping[str, int]
    result: str | None


@dataclass(frozen=True, slots=True)
class Try:
    job_id: int
    number: int
    pid: int
    backend: str
    started_at: float
    ended_at: float
    outcome: str
    error: str | None


@dataclass(frozen=True, slots=True)
class Run:
    """A prompt's turn on a GPU. ended_at: None if it was cut short with its server. is_rendering: not all of it was
    answered from the cache."""

    number: int
    gpu: str
    queued_at: float
    began_at: float
    ended_at: float | None
    is_rendering: bool


@dataclass(frozen=True, slots=True)
class Killed:
    """A process that was killed. name: of a GPU, or of a machine."""

    at: float
    name: str
    pid: int


@dataclass
class Books:
    """Everything that was seen. `balance` says what does not add up.

    outages: when the database was away. unmanned: when no worker was up, since all had been killed.
    """

    wanted: Sequence[Wanted]
    jobs: Sequence[Ended]
    tries: Sequence[Try]
    runs: Sequence[Run]
    killed: Sequence[Killed]
    outages: Sequence[Span]
    unmanned: Sequence[Span] = ()
    cuts: Sequence[tuple[float, str]] = ()
    blows: Mapping[str, int] = field(default_factory=dict)
    updates_failed: int = 0

    def balance(self) -> list[str]:
        """One line for each thing that is wrong; empty if all is well."""
        return [*self._lost(), *self._doubled(), *self._misdelivered(), *self._late(), *self._failed_for_nothing()]

    def _lost(self) -> Iterable[str]:
        if self.updates_failed:
            yield f"{self.updates_failed} updates were set aside"
        for wanted in self.wanted:
            if len(wanted.jobs) != 1:
                yield f"nr{wanted.number:05} became {len(wanted.jobs)} jobs"
        for job in self.jobs:
            ends = sum(job.events.get(kind, 0) for kind in ("collected", "failed", "dead", "cancelled"))
            if job.state not in ("collected", "delivered", "failed", "dead"):
                yield f"job {job.id} has not ended: {job.state}"
            elif ends != 1 or job.events.get("delivered", 0) > 1:
                yield f"job {job.id} has not ended once: {dict(job.events)}"

    def _doubled(self) -> Iterable[str]:
        for run, cause in self.rendered_again():
            if cause is None:
                yield f"nr{run.number:05} was rendered again on {run.gpu} at {run.began_at:.2f} without need"

    def rendered_again(self) -> list[tuple[Run, Killed | None]]:
        """Each rendering after the first of its job, and the kill of a GPU that made it necessary."""
        by_number: dict[int, list[Run]] = {}
        for run in sorted(self.runs, key=lambda run: run.began_at):
            if run.is_rendering:
                by_number.setdefault(run.number, []).append(run)
        found = []
        for renderings in by_number.values():
            for before, again in itertools.pairwise(renderings):
                causes = (
                    killed
                    for killed in self.killed
                    if killed.name == before.gpu and before.began_at <= killed.at <= again.began_at
                )
                found.append((again, next(causes, None)))
        return found

    def _misdelivered(self) -> Iterable[str]:
        jobs = {job.id: job for job in self.jobs}
        for wanted in self.wanted:
            job = jobs.get(wanted.jobs[0]) if wanted.jobs else None
            if job is None:
                continue
            if wanted.shown > wanted.pictures:
                yield f"nr{wanted.number:05}: {wanted.shown} pictures were delivered, {wanted.pictures} were asked for"
            if job.state == "delivered" and wanted.shown != wanted.pictures:
                yield f"nr{wanted.number:05} counts as delivered: {wanted.shown} of {wanted.pictures} pictures"
            if job.state == "collected" and job.result != "unknown":
                yield f"nr{wanted.number:05} is collected, its result {job.result}"

    def _late(self) -> Iterable[str]:
        for job_id, seconds in self.orphans():
            if seconds > ORPHAN_SECONDS:
                yield f"job {job_id} was an orphan for {seconds:.1f} s"

    def orphans(self) -> list[tuple[int, float]]:
        """(job, seconds) for each job that was worked on by a process when that was killed: until it was worked on
        again, without the time in which the database was away or no worker was up."""
        idle = joined([*self.outages, *self.unmanned])
        ends = {job.id: job.ended_at for job in self.jobs}
        starts = {(one.job_id, one.number): one.started_at for one in self.tries}
        found = []
        for one in self.tries:
            death = self._death_of(one)
            if death is None:
                continue
            again = starts.get((one.job_id, one.number + 1), ends.get(one.job_id, death.at))
            found.append((one.job_id, again - death.at - overlap((death.at, again), idle)))
        return found

    def _death_of(self, one: Try) -> Killed | None:
        if one.outcome != "lost":
            return None
        return next((k for k in self.killed if k.pid == one.pid and one.started_at - 1 <= k.at <= one.ended_at), None)

    def _failed_for_nothing(self) -> Iterable[str]:
        failed = self.failed()
        if len(failed) > MOST_FAILED * len(self.wanted) + 1:
            yield f"{len(failed)} jobs failed"
        for job in failed:
            tries = [one for one in self.tries if one.job_id == job.id]
            if not tries or not all(self._was_struck(one) for one in tries):
                yield f"job {job.id} ended as {job.state} ({job.error}) for nothing: {tries}"

    def failed(self) -> list[Ended]:
        return [job for job in self.jobs if job.state in ("failed", "dead")]

    def _was_struck(self, one: Try) -> bool:
        """Whether its worker, its GPU, the way to that, or the database was hit while it lasted."""
        span = (one.started_at - 1, one.ended_at)
        hits = [k.at for k in self.killed if k.name == one.backend or k.pid == one.pid]
        hits += [at for at, gpu in self.cuts if gpu == one.backend]
        return any(span[0] <= at <= span[1] for at in hits) or overlap(span, self.outages) > 0

    def table(self) -> str:
        """What is told at the end of a run."""
        orphans = sorted(seconds for _, seconds in self.orphans())
        again = self.rendered_again()
        needed = sum(cause is not None for _, cause in again)
        renderings = sum(run.is_rendering for run in self.runs)
        rows = [
            ("asked for", len(self.wanted)),
            ("jobs", f"{len(self.jobs)}: {_counted(job.state for job in self.jobs)}"),
            ("tries", f"{len(self.tries)}: {_counted(one.outcome for one in self.tries)}"),
            ("tries requeued", _counted(str(one.error) for one in self.tries if one.outcome == "requeued") or "none"),
            ("blows", ", ".join(f"{count} {kind}" for kind, count in sorted(self.blows.items()))),
            ("database away", f"{sum(end - start for start, end in self.outages):.1f} s"),
            ("no worker up", f"{sum(end - start for start, end in self.unmanned):.1f} s"),
            ("renderings", f"{renderings}, of these {needed} again since a ComfyUI was killed"),
            ("rendered twice without need", len(again) - needed),
            ("cut short with their server", sum(run.ended_at is None for run in self.runs)),
            ("answered from the cache", len(self.runs) - renderings),
            ("pictures", f"{sum(w.shown for w in self.wanted)} of {sum(w.pictures for w in self.wanted)}"),
            ("results unknown, asked about", sum(job.result == "unknown" for job in self.jobs)),
            ("orphans", f"{len(orphans)}: {spread(orphans)}"),
            ("from asked to ended", spread(sorted(job.ended_at - job.created_at for job in self.jobs))),
        ]
        return "\n".join(f"  {name:<30} {value}" for name, value in rows)


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that are apart from each other."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def gaps(spans: Iterable[Span]) -> list[Span]:
    """The time between the spans."""
    return [(before[1], after[0]) for before, after in itertools.pairwise(joined(spans))]


def overlap(span: Span, others: Iterable[Span]) -> float:
    """For how long one of the others, which are apart from each other, covers the span."""
    return sum(max(0.0, min(span[1], end) - max(span[0], start)) for start, end in others)


def spread(seconds: Sequence[float]) -> str:
    """Some quantiles of sorted values."""
    if not seconds:
        return "none"
    marks = {"p50": 0.5, "p90": 0.9, "slowest": 1.0}
    return ", ".join(
        f"{name} {seconds[min(int(share * len(seconds)), len(seconds) - 1)]:.1f} s" for name, share in marks.items()
    )


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
