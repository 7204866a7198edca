"""Inline buttons. Each is bound to one job or delivery by its id, so it works after a restart and on old messages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from runtime.chat.texts import text

Action: TypeAlias = Literal["again", "orig", "cancel", "send"]
"""again, orig, cancel: of a job; send: of a delivery whose outcome is unknown."""

DATA_BYTES = 64  # Bot API, InlineKeyboardButton.callback_data
_DATA = re.compile(rf"({'|'.join(get_args(Action))}):([0-9]{{1,19}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Button:
    """A button that sends `data`, 1 to 64 bytes, to the bot when pressed."""

    text: str
    data: str

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ValueError("a button needs a text")
        if not 1 <= len(self.data.encode()) <= DATA_BYTES:
            raise ValueError(f"callback data must have 1 to {DATA_BYTES} bytes, got {len(self.data.encode())}")


Keyboard: TypeAlias = Sequence[Sequence[Button]]
"""Rows of buttons; empty for none."""


@dataclass(frozen=True, slots=True)
class Press:
    """What a pressed button asks for: `id` is a job's, for "send" a delivery's."""

    action: Action
    id: int


def callback_data(action: Action, subject: int) -> str:
    """What the button sends when pressed: `again:17`."""
    return f"{action}:{subject}"


def read_press(data: str) -> Press | None:
    """The press that `data` stands for, or None if no button of ours sends this."""
    match = _DATA.fullmatch(data)
    if not match or int(match[2]) >= 2**63:
        return None
    return Press(match[1], int(match[2]))  # type: ignore[arg-type]  # the pattern lets nothing but Action through


def again_button(job_id: int, language: str | None) -> Button:
    """Runs the job once more, with a new seed."""
    return Button(text("button.again", language), callback_data("again", job_id))


def original_button(job_id: int, language: str | None) -> Button:
    """Sends what the job made uncompressed, where the chat shows it compressed."""
    return Button(text("button.original", language), callback_data("orig", job_id))


def cancel_button(job_id: int, language: str | None) -> Keyboard:
    """Under the status message while the job waits or runs."""
    return ((Button(text("button.cancel", language), callback_data("cancel", job_id)),),)


def resend_button(delivery_id: int, language: str | None) -> Keyboard:
    """Under the question whether the result has arrived."""
    return ((Button(text("button.resend", language), callback_data("send", delivery_id)),),)


def read_keyboard(rows: Sequence[Sequence[Mapping[str, Any]]]) -> Keyboard:
    """The keyboard in a notice's payload: rows of `{"text", "data"}`. Raises: KeyError, ValueError."""
    return tuple(tuple(Button(str(button["text"]), str(button["data"])) for button in row) for row in rows if row)


def written_keyboard(keyboard: Keyboard) -> list[list[dict[str, str]]]:
    """The keyboard as it is stored in a notice's payload; `read_keyboard` reads it back."""
    return [[{"text": button.text, "data": button.data} for button in row] for row in keyboard]
