"""Stopping a job: mine and nobody else's, in every state, by button and by command."""

import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from runtime.sandbox.telegram import ChatMessage, Group, User
from tests.dispatch.bot import PUBLIC, Bot, said

ADMIN = 100_000_000 + zlib.crc32(b"carol") % 900_000_000  # as the sandbox numbers its people
NOT_YOURS = "Only who started it can stop it."
NOTHING = "There is nothing to cancel."
DONE = "It is done already; the result is on its way."


@dataclass(frozen=True)
class Case:
    """A job's row, and what cancelling makes of it: its state, whether its worker is asked, what is said."""

    name: str
    row: str
    state: str
    is_asked: bool = False
    said: str | None = None


CASES = [
    Case("waiting", "state = 'queued'", "cancelled"),
    Case("for later", "state = 'queued', is_due = false, run_at = now() + interval '2 days'", "cancelled"),
    Case("waiting for another try", "state = 'queued', attempt = 1, error = 'PromptLost'", "cancelled"),
    Case("placed", "state = 'placed', backend = 'gpu-a'", "cancelled"),
    Case("of a lost worker", "state = 'placed', backend = 'gpu-a', prompt_id = 'p', attempt = 1", "placed", True),
    Case("running", "state = 'running', backend = 'gpu-a', prompt_id = 'p', attempt = 1", "running", True),
    Case("collected", "state = 'collected', ended_at = now()", "collected", said=DONE),
    Case("delivered", "state = 'delivered', ended_at = now()", "delivered", said=NOTHING),
    Case("failed", "state = 'failed', ended_at = now()", "failed", said=NOTHING),
    Case("dead", "state = 'dead', ended_at = now()", "dead", said=NOTHING),
    Case("cancelled", "state = 'cancelled', ended_at = now()", "cancelled", said=NOTHING),
]


@dataclass
class Scene:
    """A group with Alice, who asked, Bob, who did not, and Carol, who operates the bot."""

    bot: Bot
    group: Group
    alice: User
    bob: User
    carol: User
    asked: ChatMessage
    shown: ChatMessage

    async def by_button(self, who: User) -> str:
        number = (await self.bot.job()).id
        press = self.group.press_data(self.shown, f"cancel:{number}", as_user=who)
        await self.bot.catch_up()
        return str((await press.answered()).get("text") or "")

    async def by_reply(self, who: User) -> str:
        return await self._say(who, self.asked)

    async def by_reply_to_its_status(self, who: User) -> str:
        return await self._say(who, self.shown)

    async def by_command(self, who: User) -> str:
        return await self._say(who, None)

    async def _say(self, who: User, about: ChatMessage | None) -> str:
        before = len(said(self.group))
        self.group.send("/cancel", as_user=who, reply_to=about)
        await self.bot.catch_up()
        await self.bot.dispatcher.idle()
        return said(self.group)[before]


Way = Callable[[Scene, User], Awaitable[str]]
WAYS: list[Way] = [Scene.by_button, Scene.by_reply, Scene.by_reply_to_its_status, Scene.by_command]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture
async def scene(make_bot) -> Scene:
    bot = await make_bot(PUBLIC.replace("default: public", f"default: public, admins: [{ADMIN}]"))
    alice, bob, carol = (bot.telegram.user(name) for name in ("Alice", "Bob", "Carol"))
    group = bot.telegram.group("Painters", [alice, bob, carol])
    asked = group.send("/f one", as_user=alice)
    await bot.catch_up()
    shown = await group.wait_for(lambda message: message.from_bot)
    await bot.dispatcher.idle()
    return Scene(bot, group, alice, bob, carol, asked, shown)


async def bring(scene: Scene, case: Case) -> None:
    """The job is as the case has it, and has its slot if it is on a backend."""
    await scene.bot.query("insert into backends (name) values ('gpu-a')")
    await scene.bot.query("insert into slots (backend, position) values ('gpu-a', 0)")
    await scene.bot.query(f"update jobs set {case.row}")
    await scene.bot.query("update slots set job_id = (select id from jobs where backend is not null)")


async def check(scene: Scene, case: Case, answer: str) -> None:
    job = await scene.bot.job()
    assert (job.state, job.cancel_requested) == (case.state, case.is_asked or case.state == "cancelled" != case.name)
    slots = await scene.bot.query("select job_id from slots")
    assert slots == [(job.id if case.is_asked else None,)], "a slot is free as soon as nobody can be at work on it"
    assert answer == case.said if case.said else NOT_YOURS not in answer


@ways
@cases
async def test_i_stop_my_job_wherever_it_is(scene: Scene, case: Case, way: Way) -> None:
    await bring(scene, case)

    answer = await way(scene, scene.alice)

    await check(scene, case, answer)


@cases
async def test_an_operator_stops_anybodys(scene: Scene, case: Case) -> None:
    await bring(scene, case)

    await check(scene, case, await scene.by_button(scene.carol))


@pytest.mark.parametrize("way", WAYS[:3], ids=lambda way: way.__name__)
@pytest.mark.parametrize("case", CASES[:7], ids=lambda case: case.name)
async def test_nobody_else_does_and_is_told_so_politely(scene: Scene, case: Case, way: Way) -> None:
    await bring(scene, case)
    before = await scene.bot.job()

    answer = await way(scene, scene.bob)

    job = await scene.bot.job()
    assert answer == NOT_YOURS
    assert (job.state, job.cancel_requested, job.fence) == (before.state, False, before.fence)


async def test_cancel_without_a_reply_is_about_my_own_jobs_only(scene: Scene) -> None:
    for who in (scene.bob, scene.carol):
        assert await scene.by_command(who) == NOTHING

    assert (await scene.bot.job()).state == "queued"


async def test_cancel_all_stops_all_of_mine_here_and_nobody_elses(scene: Scene) -> None:
    scene.group.send("/f two --in 2d", as_user=scene.alice)
    scene.group.send("/f three", as_user=scene.bob)
    scene.alice.private_chat.send("/f four")
    await scene.bot.catch_up()

    scene.group.send("/cancel all", as_user=scene.alice)
    scene.group.send("/cancel all", as_user=scene.carol)
    await scene.bot.catch_up()
    await scene.bot.dispatcher.idle()

    prompts = {str(job.arguments["prompt"]): job.state for job in await scene.bot.jobs()}
    assert prompts == {"one": "cancelled", "two": "cancelled", "three": "queued", "four": "queued"}
    assert "✖️ Stopped: 2 of your jobs in this chat." in said(scene.group)
    assert NOTHING in said(scene.group)


async def test_what_can_be_stopped_is_stopped_before_what_is_done(scene: Scene) -> None:
    scene.group.send("/f two", as_user=scene.alice)
    await scene.bot.catch_up()
    await scene.bot.query("update jobs set state = 'collected' where id = (select max(id) from jobs)")

    await scene.by_command(scene.alice)

    assert [job.state for job in await scene.bot.jobs()] == ["cancelled", "collected"]
