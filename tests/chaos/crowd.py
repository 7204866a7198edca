"""Many people who ask for pictures, each at a time of their own; drawn from a seed."""

import asyncio
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from runtime.sandbox.telegram import Chat, SandboxTelegram

SIZE = "--size 256x256"


@dataclass(frozen=True, slots=True)
class Wish:
    """at: seconds from the beginning. pictures: how many are to come. has_photo: it is about a photo sent with it."""

    at: float
    user: str
    text: str
    pictures: int = 1
    has_photo: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A wish that was said: in which chat, by which message."""

    number: int
    chat: Chat
    message_id: int
    pictures: int


def wishes(seed: int, count: int, users: int, seconds: float) -> list[Wish]:
    """In order of time. The text carries the number, `nr00017`, which is found again in the graph."""
    dice = random.Random(seed)
    times = sorted(dice.uniform(0, seconds) for _ in range(count))
    return [_wish(dice, number, at, f"User{dice.randrange(users):03}") for number, at in enumerate(times)]


def _wish(dice: random.Random, number: int, at: float, user: str) -> Wish:
    words = f"a lighthouse nr{number:05}"
    drawn = dice.random()
    if drawn < 0.6:
        return Wish(at, user, f"/f {words} {SIZE}")
    if drawn < 0.7:
        return Wish(at, user, f"/f {words} {SIZE} --n 2", pictures=2)
    if drawn < 0.9:
        return Wish(at, user, f"/sd3 {words} {SIZE} --steps 6")
    return Wish(at, user, f"/qwen {words}", has_photo=True)


async def ask(telegram: SandboxTelegram, wanted: Sequence[Wish]) -> list[Asked]:
    """Say each wish when its time has come."""
    photo = _photo()
    clock = asyncio.get_running_loop().time
    began, asked = clock(), []
    for number, wish in enumerate(wanted):
        await asyncio.sleep(max(0.0, began + wish.at - clock()))
        chat = telegram.user(wish.user).private_chat
        said = chat.send_photo(photo, wish.text) if wish.has_photo else chat.send(wish.text)
        asked.append(Asked(number, chat, said.message_id, wish.pictures))
    return asked


def _photo() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), (200, 120, 40)).save(file, "JPEG")
    return file.getvalue()
