"""What is asked of our policy, and whether it is so."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.placement.score import Score

OURS = "ours"
PEERS = ("fifo", "least busy", "invokeai", "swarmui")
AHEAD = tuple(f"{peer} +1" for peer in PEERS if peer != "least busy")
"""The peers given our look-ahead, which is not theirs; least busy has one without end already."""

TOLERANCE = 0.01
"""`At least as good` is no more than this share worse: below saturation every policy's throughput is that of the
arrivals."""

MARGIN = 0.20
"""How much better we are to be on the mixed fleet."""

MOST_STRETCH = 1.10
MOST_GREED = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """is_met None: told for comparison, or because no policy can do it; not asked for."""

    what: str
    measured: str
    is_met: bool | None

    def __str__(self) -> str:
        verdict = {True: "pass", False: "FAIL", None: "    "}[self.is_met]
        return f"{verdict}  {self.what:58} {self.measured}"


def bars(scores: Mapping[str, Mapping[str, Score]]) -> Iterator[Bar]:
    """scores: trace -> policy -> score."""
    for trace, by_policy in scores.items():
        margin = MARGIN if trace.startswith("mixed") else 0.0
        yield from _against(trace, by_policy, PEERS, margin, is_asked=True)
    for trace, by_policy in scores.items():
        yield from _against(trace, by_policy, AHEAD, 0.0, is_asked=False)
    for trace, by_policy in scores.items():
        stretch = by_policy[OURS].stretch
        yield Bar(f"{trace}: makespan / lower bound", f"{stretch:.3f}", stretch <= MOST_STRETCH)
    yield from _greed(scores)


def _against(
    trace: str, by_policy: Mapping[str, Score], names: Sequence[str], margin: float, *, is_asked: bool
) -> Iterator[Bar]:
    ours, peers = by_policy[OURS], [by_policy[name] for name in names if name in by_policy]
    if not peers:
        return
    wait, speed = min(peers, key=lambda one: one.p95), max(peers, key=lambda one: one.jobs_per_hour)
    wanted = f" {margin:.0%} better" if margin else ""
    wait_allowed = wait.p95 * (1 - margin if margin else 1 + TOLERANCE)
    yield Bar(
        f"{trace}: p95 wait{wanted}",
        f"{ours.p95:.1f} s, {wait.policy} {wait.p95:.1f} s",
        ours.p95 <= wait_allowed if is_asked else None,
    )
    gain, most = ours.jobs_per_hour / speed.jobs_per_hour - 1, speed.makespan / speed.bound - 1
    measured = f"{ours.jobs_per_hour:.0f}/h, {speed.policy} {speed.jobs_per_hour:.0f}/h: {gain:+.1%}"
    yield Bar(f"{trace}: throughput", measured, gain >= -TOLERANCE if is_asked else None)
    if margin:
        is_possible = margin <= most
        limit = "" if is_possible else f", but nobody can have more than {most:+.1%}"
        yield Bar(f"{trace}: throughput{wanted}", f"{gain:+.1%}{limit}", gain >= margin if is_possible else None)


def _greed(scores: Mapping[str, Mapping[str, Score]]) -> Iterator[Bar]:
    with_him, without = scores.get("one greedy user"), scores.get("without the greedy user")
    if with_him is None or without is None:
        return
    peers = [score for policy, score in with_him.items() if policy in PEERS]
    if peers:
        best = min(peers, key=lambda one: one.modest_p95)
        ours = with_him[OURS].modest_p95
        yield Bar(
            f"{best.trace}: p95 wait of the others",
            f"{ours:.1f} s, {best.policy} {best.modest_p95:.1f} s",
            ours <= best.modest_p95 * (1 + TOLERANCE),
        )
    for policy in with_him:
        ratio = with_him[policy].modest_p95 / without[policy].modest_p95
        yield Bar(
            f"a modest user's p95 wait, with / without the greedy one: {policy}",
            f"{with_him[policy].modest_p95:.1f} / {without[policy].modest_p95:.1f} s = {ratio:.2f}x",
            ratio <= MOST_GREED if policy == OURS else None,
        )
