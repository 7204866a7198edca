"""Which lane reads which part of a file: values and decisions, no network.

Lanes differ by a factor of ten, and nobody knows how fast one is before it was used. So the file is first cut evenly,
and a lane that has nothing left to do takes from the slowest what it would read sooner itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True, slots=True)
class Cutting:
    """How a file is shared out.

    first_bytes: asked for at first; what is not larger comes whole with it, in one round trip.
    smallest_bytes: below it a request of its own is not worth it.
    stall_seconds: a piece that got nothing for so long, or for four times the usual wait for a first byte, is taken
    over whole. judge_seconds: a lane used for less is not called slow.
    """

    first_bytes: int = 4 * 2**20
    smallest_bytes: int = 256 * 1024
    stall_seconds: float = 4.0
    judge_seconds: float = 2.0


@dataclass(eq=False, slots=True)
class Piece:
    """Bytes `at` to `end` of the file, `end` excluded, are still to come; end None: as far as it goes.

    start, began: where and when its present request began. flowed: when that was answered, None if not yet. heard: its
    last sign of life.
    """

    at: int
    end: int | None
    lane: str = ""
    start: int = 0
    began: float = 0.0
    flowed: float | None = None
    heard: float = 0.0

    @property
    def left(self) -> int:
        return max((self.end or self.at) - self.at, 0)

    def begin(self, lane: str, now: float) -> None:
        """It is asked for on `lane` now."""
        self.lane, self.start, self.began, self.flowed, self.heard = lane, self.at, now, None, now


@dataclass(slots=True)
class Stopwatch:
    """Seconds during which at least one of several overlapping things went on. running: how many do now."""

    running: int = 0
    _before: float = 0.0
    _since: float = 0.0

    def enter(self, now: float) -> None:
        """One begins."""
        if self.running == 0:
            self._since = now
        self.running += 1

    def leave(self, now: float) -> None:
        """One ends."""
        self.running -= 1
        if self.running == 0:
            self._before += now - self._since

    def seconds(self, now: float) -> float:
        return self._before + (now - self._since if self.running else 0.0)


@dataclass(slots=True)
class LaneRecord:
    """How a lane did during one download.

    asked: requests that are under way; flowing: those of them that were answered. first_byte_seconds: the last wait for
    an answer. breaks: in a row, with no progress between them.
    """

    name: str
    received: int = 0
    asked: Stopwatch = field(default_factory=Stopwatch)
    flowing: Stopwatch = field(default_factory=Stopwatch)
    first_byte_seconds: float | None = None
    breaks: int = 0

    def rate(self, now: float) -> float | None:
        """Bytes per second while answers came in, of all its requests together; None if it is too early to tell."""
        seconds = self.flowing.seconds(now)
        return self.received / seconds if seconds > 0 and self.received else None


def cut(first: int, end: int, readers: int, cutting: Cutting) -> list[Piece]:
    """Bytes `first` to `end` in pieces for so many readers. The later ones are larger, two to one.

    Readers come in rounds over the lanes: so the two of a lane do not end, and wait for the next answer, together.
    """
    count = max(min(readers, (end - first) // cutting.smallest_bytes), 1)
    weights = [1.0 if number < count / 2 else 2.0 for number in range(count)]
    pieces, at, sum_before = [], first, 0.0
    for weight in weights:
        sum_before += weight
        until = first + round((end - first) * sum_before / sum(weights))
        pieces.append(Piece(at, until))
        at = until
    return [piece for piece in pieces if piece.left]


@dataclass(frozen=True, slots=True)
class Takeover:
    """`piece` is what the taker reads; `victim` is to end where it begins."""

    victim: Piece
    piece: Piece


def take_over(
    pieces: Iterable[Piece], lanes: Sequence[LaneRecord], taker: LaneRecord, now: float, cutting: Cutting
) -> Takeover | None:
    """What a reader of lane `taker` with nothing to do should take from one of `pieces`, all under way.

    The victim is the piece of another lane that will be done last. It keeps as much as it reads until both end at the
    same time. None if that gains too little.
    """
    by_name = {lane.name: lane for lane in lanes}
    wait = _usual_wait(taker, lanes)
    known = [rate for lane in lanes if (rate := lane.rate(now)) is not None]
    if not known:
        return None
    own_rate = (taker.rate(now) or median(known)) / (taker.asked.running + 1)
    last: tuple[float, Takeover] | None = None
    for piece in pieces:
        if not piece.left or piece.lane == taker.name:
            continue
        lane = by_name[piece.lane]
        lane_wait = _usual_wait(lane, lanes)
        if now - piece.heard > max(cutting.stall_seconds, 4 * lane_wait):
            return _take(piece, piece.left)
        rate = (lane.rate(now) or median(known)) / max(lane.asked.running, 1)
        still_waits = 0.0 if piece.flowed is not None else max(piece.began + lane_wait - now, 0.0)
        seconds = still_waits + piece.left / rate
        size = int((seconds - wait) * own_rate * rate / (own_rate + rate))
        gained = seconds - (wait + size / own_rate)
        if size >= cutting.smallest_bytes and gained > wait / 4 and (last is None or seconds > last[0]):
            last = seconds, _take(piece, min(size, piece.left))
    return last[1] if last else None


def _usual_wait(lane: LaneRecord, lanes: Sequence[LaneRecord]) -> float:
    """Seconds from a request to its answer: as last time on this lane, or as on the slowest of the others."""
    if lane.first_byte_seconds is not None:
        return lane.first_byte_seconds
    return max((other.first_byte_seconds or 0.0 for other in lanes), default=0.0)


def _take(victim: Piece, size: int) -> Takeover:
    end = victim.end or victim.at
    return Takeover(victim, Piece(end - size, end))


def lanes_to_renew(lanes: Sequence[LaneRecord], now: float, cutting: Cutting) -> list[str]:
    """Lanes that keep breaking, and those at less than a third of the median rate, if used long enough to tell."""
    broken = {lane.name for lane in lanes if lane.breaks > 1}
    rates = {
        lane.name: lane.received / lane.asked.seconds(now)
        for lane in lanes
        if lane.name not in broken and lane.asked.seconds(now) >= cutting.judge_seconds
    }
    middle = median(rates.values()) if rates else 0.0
    return [lane.name for lane in lanes if lane.name in broken or rates.get(lane.name, middle) < middle / 3]
