"""A chat with the bot, for tests that know nothing of asyncio."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from runtime.sandbox.telegram import Chat as SandboxChat
from runtime.sandbox.telegram import ChatMessage

PATIENCE_SECONDS = 60.0
GRACE_SECONDS = 10.0
"""Until a wait that has its own limit is given up from outside."""


class NothingCame(AssertionError):
    """What was waited for is not in the chat. The text shows what is."""


@dataclass(frozen=True)
class Reply:
    """A message of the bot. buttons: their texts, in reading order."""

    text: str
    buttons: tuple[str, ...]
    message: ChatMessage


@dataclass(frozen=True)
class Picture(Reply):
    """A picture as it came; its text is the caption. width, height: in pixels."""

    content: bytes
    width: int
    height: int

    @property
    def image(self) -> Image.Image:
        """The picture, opened."""
        return Image.open(io.BytesIO(self.content))


@dataclass(frozen=True)
class Video(Reply):
    """A video as it came; its text is the caption. duration: in whole seconds."""

    content: bytes
    width: int
    height: int
    duration: int


class Chat:
    """A private chat of one person with the bot. Each test has one of its own.

    What is waited for is looked for after what was sent or received last.
    """

    def __init__(self, chat: SandboxChat, run: Callable[..., Any], on_loop: Callable[[Callable[[], Any]], Any]) -> None:
        self.sandbox = chat
        self._run = run
        self._on_loop = on_loop
        self._after: ChatMessage | None = None

    def send(self, text: str, *, photo: bytes | Sequence[bytes] = (), reply_to: Reply | None = None) -> None:
        """Say something; with a photo, or 2 to 10 of them as one album, `text` is the caption."""
        replied = reply_to.message if reply_to else None
        photos = [photo] if isinstance(photo, bytes) else list(photo)
        if not photos:
            self._after = self._on_loop(lambda: self.sandbox.send(text, reply_to=replied))
        elif len(photos) == 1:
            self._after = self._on_loop(lambda: self.sandbox.send_photo(photos[0], text, reply_to=replied))
        else:
            self._after = self._on_loop(lambda: self.sandbox.send_album(photos, text, reply_to=replied)[-1])

    def press(self, button: str, reply: Reply | None = None) -> None:
        """Press the button whose text contains `button`, under `reply` or the newest message that has one.

        Raises: NothingCame if there is none.
        """
        __tracebackhide__ = True
        for message in [reply.message] if reply else reversed(self.sandbox.messages):
            text = next((text for text in _buttons(message) if button in text), None)
            if text is not None:
                pressed = self._on_loop(partial(self.sandbox.press, message, text))
                self._run(pressed.answered())
                return
        raise NothingCame(f"no message has a button {button!r}; the chat shows:\n{self.transcript()}")

    def picture(self, timeout: float = PATIENCE_SECONDS) -> Picture:
        """The next picture. Raises: NothingCame after `timeout` seconds."""
        __tracebackhide__ = True
        message = self._next(lambda one: one.photo is not None, "picture", timeout)
        content = _content(message)
        width, height = Image.open(io.BytesIO(content)).size
        return Picture(message.caption or "", _buttons(message), message, content, width, height)

    def video(self, timeout: float = PATIENCE_SECONDS) -> Video:
        """The next video. Raises: NothingCame after `timeout` seconds."""
        __tracebackhide__ = True
        message = self._next(lambda one: one.video is not None, "video", timeout)
        about = message.video or {}
        return Video(
            message.caption or "",
            _buttons(message),
            message,
            _content(message),
            about.get("width", 0),
            about.get("height", 0),
            about.get("duration", 0),
        )

    def text(self, containing: str = "", timeout: float = PATIENCE_SECONDS) -> str:
        """The text of the next message of words that has `containing` in it. Raises: NothingCame."""
        __tracebackhide__ = True
        message = self._next(lambda one: containing in (one.text or "") and bool(one.text), "text", timeout)
        return message.text or ""

    @property
    def messages(self) -> Sequence[Reply]:
        """What the bot has said and not taken back, oldest first."""
        return [
            Reply(one.text or one.caption or "", _buttons(one), one) for one in self.sandbox.messages if one.from_bot
        ]

    def transcript(self) -> str:
        """The chat as lines."""
        return self.sandbox.transcript()

    def _next(self, fits: Callable[[ChatMessage], bool], what: str, timeout: float) -> ChatMessage:
        __tracebackhide__ = True
        waiting = self.sandbox.wait_for(
            lambda message: message.from_bot and fits(message), timeout=timeout, after=self._after
        )
        try:
            self._after = self._run(waiting, timeout + GRACE_SECONDS)
        except TimeoutError:
            raise NothingCame(f"no {what} came within {timeout:g} s; the chat shows:\n{self.transcript()}") from None
        return self._after


def _buttons(message: ChatMessage) -> tuple[str, ...]:
    return tuple(str(button.get("text", "")) for row in message.inline_keyboard or () for button in row)


def _content(message: ChatMessage) -> bytes:
    if message.content is None:
        raise NothingCame("the message has no content")
    return message.content
