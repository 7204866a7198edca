"""Checking reply_markup: inline keyboards are kept with the message, other kinds are only checked."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.calls import Call
from runtime.sandbox.telegram.errors import BadRequest

Keyboard = list[list[dict[str, Any]]]
_OTHER_ACTIONS = (
    "callback_game",
    "pay",
    "switch_inline_query",
    "switch_inline_query_chosen_chat",
    "switch_inline_query_current_chat",
    "login_url",
    "web_app",
    "copy_text",
    "disabled",
)


def inline_keyboard(call: Call) -> Keyboard | None:
    """The inline keyboard of the call, None if it has none or another kind of markup."""
    markup = call.structure("reply_markup", "reply keyboard markup")
    if markup is None:
        return None
    if not isinstance(markup, dict):
        raise BadRequest("object expected as reply markup")
    for row in markup.get("keyboard") or []:
        if not isinstance(row, list):
            raise BadRequest('field "keyboard" must be an Array of Arrays')
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise BadRequest('field "inline_keyboard" must be of type Array')
    keyboard: Keyboard = []
    for row in rows:
        if not isinstance(row, list):
            raise BadRequest('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
        keyboard.append([_button(button) for button in row])
    keyboard = [row for row in keyboard if row]
    if sum(map(len, keyboard)) > limits.KEYBOARD_BUTTONS or any(len(row) > limits.BUTTONS_IN_ROW for row in keyboard):
        raise BadRequest("reply markup is too long")
    return keyboard or None


def _button(button: Any) -> dict[str, Any]:
    if not isinstance(button, dict):
        raise _broken("InlineKeyboardButton must be an Object")
    if not isinstance(button.get("text"), str):
        raise _broken('Can\'t find field "text"' if "text" not in button else 'Field "text" must be of type String')
    if not button["text"].strip():
        raise BadRequest("text buttons must be non-empty" if "url" not in button else "BUTTON_TEXT_INVALID")
    if button.get("url"):
        if urlsplit(str(button["url"])).scheme not in ("http", "https", "tg", "ton"):
            raise BadRequest(f"inline keyboard button URL '{button['url']}' is invalid: Wrong HTTP URL")
    elif button.get("callback_data"):
        if len(str(button["callback_data"]).encode()) > limits.CALLBACK_DATA_BYTES:
            raise BadRequest("BUTTON_DATA_INVALID")
    elif not any(action in button for action in _OTHER_ACTIONS):
        raise _broken("Text buttons are unallowed in the inline keyboard")
    return {name: value for name, value in button.items() if value is not None}


def _broken(what: str) -> BadRequest:
    return BadRequest(f"can't parse inline keyboard button: {what}")
