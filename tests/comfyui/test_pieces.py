"""Who reads which part of a file: whatever is decided, every byte is somebody's, once."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.comfyui.file_head import FileHead
from runtime.comfyui.pieces import Cutting, LaneRecord, Piece, Stopwatch, cut, lanes_to_renew, take_over

CUTTING = Cutting(smallest_bytes=100, stall_seconds=4.0, judge_seconds=2.0)


def lane(name: str, rate: float, *, seconds: float = 10.0, wait: float | None = 1.0, asked: int = 0) -> LaneRecord:
    """A lane that was used for so long at that rate, until second 10."""
    record = LaneRecord(name, received=int(rate * seconds), first_byte_seconds=wait)
    for watch in (record.asked, record.flowing):
        watch.enter(10.0 - seconds)
        watch.leave(10.0)
    for _ in range(asked):
        record.asked.enter(10.0)
    return record


def reading(name: str, at: int, end: int, *, began: float = 5.0, heard: float = 10.0) -> Piece:
    return Piece(at, end, lane=name, start=at, began=began, flowed=began + 1, heard=heard)


@given(first=st.integers(0, 10**6), size=st.integers(1, 10**7), readers=st.integers(1, 20))
def test_pieces_cover_the_file_without_gap_or_overlap(first: int, size: int, readers: int):
    pieces = cut(first, first + size, readers, CUTTING)

    assert (pieces[0].at, pieces[-1].end) == (first, first + size)
    assert all(before.end == after.at for before, after in pairwise(pieces))
    assert 1 <= len(pieces) <= readers
    assert len(pieces) == 1 or min(piece.left for piece in pieces) >= CUTTING.smallest_bytes / 2


@given(
    rates=st.lists(st.floats(1, 10**7), min_size=2, max_size=5),
    ends=st.lists(st.tuples(st.integers(0, 10**8), st.integers(0, 10**8)), max_size=6),
    heard=st.floats(0, 10),
    now=st.floats(10, 100),
)
def test_a_takeover_takes_the_end_of_another_lanes_piece_and_nothing_else(rates, ends, heard, now):
    lanes = [lane(f"{number}", rate) for number, rate in enumerate(rates)]
    pieces = [reading(f"{number % len(lanes)}", min(pair), max(pair), heard=heard) for number, pair in enumerate(ends)]

    taken = take_over(pieces, lanes, lanes[0], now, CUTTING)

    if taken is not None:
        assert taken.victim in pieces
        assert taken.victim.lane != "0"
        assert taken.piece.end == taken.victim.end
        assert taken.victim.at <= taken.piece.at < taken.victim.end


def test_the_fast_lane_takes_most_of_what_the_slow_one_would_still_need_long_for():
    slow, fast = lane("slow", 1000, asked=1), lane("fast", 9000)
    piece = reading("slow", 0, 100_000)

    taken = take_over([piece], [slow, fast], fast, 10.0, CUTTING)

    assert taken is not None
    # the slow one: 100 s alone. Shared: x/9000 + 1 s for the answer = (100,000 - x)/1000
    assert taken.piece.left == pytest.approx(89_100, abs=10)


def test_a_piece_that_is_nearly_done_is_left_alone():
    slow, fast = lane("slow", 1000, asked=1), lane("fast", 9000)

    assert take_over([reading("slow", 0, 1000)], [slow, fast], fast, 10.0, CUTTING) is None


def test_a_piece_whose_answer_has_only_begun_is_judged_by_its_lane_and_not_by_its_first_bytes():
    """Ten bytes in a second of waiting are no measure: at its lane's rate it is done before anybody else could be."""
    even, taker = lane("even", 1000, asked=1), lane("taker", 1000)

    assert take_over([reading("even", 10, 1300, began=9.0)], [even, taker], taker, 10.0, CUTTING) is None


def test_of_several_the_one_that_will_be_done_last_gives_away():
    lanes = [lane("a", 1000, asked=1), lane("b", 1000, asked=1), lane("c", 1000)]
    short, long = reading("a", 0, 20_000), reading("b", 20_000, 90_000)

    taken = take_over([short, long], lanes, lanes[2], 10.0, CUTTING)

    assert taken is not None
    assert taken.victim is long


def test_a_silent_piece_is_taken_over_whole_however_small():
    lanes = [lane("silent", 5000, asked=1), lane("taker", 10)]

    taken = take_over([reading("silent", 0, 50, heard=1.0)], lanes, lanes[1], 10.0, CUTTING)

    assert taken is not None
    assert (taken.piece.at, taken.piece.end) == (0, 50)


def test_before_anything_was_received_nothing_is_taken():
    lanes = [LaneRecord("a"), LaneRecord("b")]

    assert take_over([Piece(0, 10**6, lane="a", heard=10.0)], lanes, lanes[1], 10.0, CUTTING) is None


def test_a_lane_below_a_third_of_the_median_gets_another_path():
    others = [lane("a", 3000), lane("b", 2000), lane("c", 1000)]

    assert lanes_to_renew([*others, lane("d", 500)], 10.0, CUTTING) == []
    assert lanes_to_renew([*others, lane("d", 490)], 10.0, CUTTING) == ["d"]


def test_a_lane_used_too_shortly_to_tell_keeps_its_path():
    lanes = [lane("a", 3000), lane("b", 3000), lane("c", 1, seconds=1.0)]

    assert lanes_to_renew(lanes, 10.0, CUTTING) == []


def test_a_lane_that_keeps_breaking_gets_another_path():
    lanes = [lane("a", 3000), lane("b", 3000)]
    lanes[0].breaks = 2

    assert lanes_to_renew(lanes, 10.0, CUTTING) == ["a"]


def test_a_stopwatch_counts_overlapping_times_once():
    watch = Stopwatch()
    watch.enter(1.0)
    watch.enter(2.0)
    watch.leave(3.0)
    watch.leave(5.0)
    watch.enter(8.0)

    assert watch.seconds(9.0) == 5.0


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("headers", "part"),
    [
        ({"Content-Range": "bytes 10-19/100"}, (10, 20, 100)),
        ({"Content-Range": "bytes 10-19/*"}, (10, 20, None)),
        ({"Content-Range": "bytes */100"}, (-1, None, None)),
        ({"Content-Length": "10"}, (-1, 10, None)),
    ],
)
def test_a_part_is_what_the_server_says_it_is(headers, part):
    head = FileHead.of(Answer(206, headers))

    assert (head.first, head.end, head.total) == part


@pytest.mark.parametrize("told", ["", "sha-256=:!:", "sha-512=:YQ==:", "sha-256=YQ=="])
def test_what_is_no_sha256_is_no_digest(told: str):
    assert FileHead.of(Answer(200, {"Repr-Digest": told})).digest is None


def test_a_digest_among_others_is_found():
    head = FileHead.of(Answer(200, {"Repr-Digest": "md5=:YQ==:, sha-256=:YWJj:"}))

    assert head.digest == b"abc"


def test_parts_of_one_version_have_its_etag_and_its_length():
    def part(etag: str, total: str) -> FileHead:
        return FileHead.of(Answer(206, {"ETag": etag, "Content-Range": f"bytes 0-1/{total}"}))

    assert part('"1"', "9").is_of(part('"1"', "9"))
    assert part('"1"', "9").is_of(part('"1"', "*"))
    assert not part('"1"', "9").is_of(part('"2"', "9"))
    assert not part('"1"', "9").is_of(part('"1"', "8"))
