from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from runtime.chat.pacing import GROUP_SECONDS, MOST_IN_FLIGHT, OVERALL_SECONDS, PRIVATE_SECONDS, Pacer

ALICE, BOB, GROUP = 1, 2, -1


def test_a_chat_is_edited_at_once_and_then_once_a_second():
    pacer = Pacer()
    pacer.want(10, ALICE)
    assert pacer.next(0.0) == 10
    pacer.done(10, 0.1)
    pacer.want(10, ALICE)
    assert pacer.next(0.9) is None
    assert pacer.wake_at() == PRIVATE_SECONDS
    assert pacer.next(1.0) == 10


def test_a_group_is_edited_every_five_seconds():
    pacer = Pacer()
    pacer.want(10, GROUP)
    assert pacer.next(0.0) == 10
    pacer.done(10, 0.1)
    pacer.want(10, GROUP)
    assert pacer.next(4.9) is None
    assert pacer.next(5.0) == 10


def test_a_slow_edit_holds_up_its_own_chat_only():
    pacer = Pacer()
    pacer.want(10, ALICE)
    pacer.next(0.0)
    pacer.want(10, ALICE)
    pacer.want(20, BOB)
    assert pacer.next(50.0) == 20
    assert pacer.next(60.0) is None
    pacer.done(10, 60.0)
    assert pacer.next(60.0) == 10


def test_a_hushed_chat_waits_and_others_do_not():
    pacer = Pacer()
    pacer.hush(ALICE, 30.0)
    pacer.want(10, ALICE)
    pacer.want(20, BOB)
    assert pacer.next(0.0) == 20
    pacer.done(20, 0.0)
    assert pacer.next(29.0) is None
    assert pacer.next(30.0) == 10


def test_what_is_urgent_goes_before_all_that_wait():
    pacer = Pacer()
    for job_id in (10, 11, 12):
        pacer.want(job_id, ALICE)
    pacer.want(12, ALICE, is_urgent=True)
    assert pacer.next(0.0) == 12
    pacer.done(12, 0.1)
    assert pacer.next(1.0) == 10


def test_jobs_of_one_chat_take_turns():
    pacer = Pacer()
    edited = []
    for second in range(6):
        pacer.want(10, ALICE)
        pacer.want(11, ALICE)
        job = pacer.next(float(second))
        edited.append(job)
        pacer.done(job, float(second))
    assert edited == [10, 11] * 3


def test_a_forgotten_job_is_not_edited():
    pacer = Pacer()
    pacer.want(10, ALICE)
    pacer.forget(10)
    assert pacer.next(0.0) is None
    assert pacer.wake_at() is None


steps = st.lists(
    st.tuples(
        st.sampled_from(["want", "next", "done", "forget", "hush"]),
        st.integers(0, 11),
        st.floats(0, 3, allow_nan=False),
    ),
    max_size=120,
)


@given(steps)
def test_whatever_happens_the_limits_hold(happenings):
    pacer, now, begun, editing = Pacer(), 0.0, [], {}
    for what, job, passed in happenings:
        now += passed
        chat = job // 2 + 1 if job < 8 else -(job // 2)
        if what == "want":
            pacer.want(job, chat)
        elif what == "forget":
            pacer.forget(job)
        elif what == "hush":
            pacer.hush(chat, now + passed)
        elif what == "done" and editing:
            pacer.done(done := next(iter(editing)), now)
            del editing[done]
        elif what == "next" and (given_out := pacer.next(now)) is not None:
            its_chat = given_out // 2 + 1 if given_out < 8 else -(given_out // 2)
            assert its_chat not in editing.values()
            editing[given_out] = its_chat
            begun.append((now, its_chat))
        assert len(editing) <= MOST_IN_FLIGHT
    for earlier, later in pairwise(begun):
        assert later[0] - earlier[0] >= OVERALL_SECONDS - 1e-9
    for chat in {chat for _, chat in begun}:
        times = [when for when, to in begun if to == chat]
        least = PRIVATE_SECONDS if chat > 0 else GROUP_SECONDS
        assert all(later - earlier >= least - 1e-9 for earlier, later in pairwise(times))


@given(st.lists(st.integers(-20, 20).filter(bool), min_size=1, max_size=60))
def test_everybody_gets_a_turn(chats):
    pacer, now, left = Pacer(), 0.0, dict(enumerate(chats))
    for job, chat in left.items():
        pacer.want(job, chat)
    while left:
        job = pacer.next(now)
        if job is None:
            now = max(pacer.wake_at(), now)
            job = pacer.next(now)
        assert job is not None, "woken for nothing"
        del left[job]
        pacer.done(job, now)
    assert now <= len(chats) * GROUP_SECONDS
