"""Message entities: offsets and lengths in UTF-16 code units, found in plain text or given by the bot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from runtime.sandbox.telegram import limits
from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.html_markup import parse_html
from runtime.sandbox.telegram.markdown_markup import parse_markdown
from runtime.sandbox.telegram.utf16 import Entity, utf16_length

_FOUND = re.compile(
    r"(?P<url>https?://[^\s<>\"']+[^\s<>\"'.,;:!?)\]])"
    r"|(?P<email>(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.-]*\w)"
    r"|(?P<bot_command>(?<![\w/<>@])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![\w/@]))"
    r"|(?P<mention>(?<![\w@])@[A-Za-z][A-Za-z0-9_]{3,31}\b)"
    r"|(?P<hashtag>(?<![\w#])#[^\W\d]\w{0,255})"
    r"|(?P<cashtag>(?<![\w$])\$[A-Z]{1,8}(?!\w))"
)

_NAMES = (
    "mention hashtag cashtag bot_command url email phone_number bold italic underline strikethrough spoiler "
    "blockquote expandable_blockquote code pre text_link text_mention custom_emoji date_time"
)
_GIVEN_KINDS = frozenset(_NAMES.split())


@dataclass(frozen=True, slots=True)
class FormattedText:
    """Text as the chat shows it, with its entities in Bot API form, sorted by offset."""

    text: str
    entities: tuple[Entity, ...] = ()


NO_TEXT = FormattedText("")


def detect(text: str) -> list[Entity]:
    """Entities Telegram finds by itself. `/f@botname` is one bot_command of that whole length."""
    return [
        {
            "type": str(match.lastgroup),
            "offset": utf16_length(text[: match.start()]),
            "length": utf16_length(match.group()),
        }
        for match in _FOUND.finditer(text)
    ]


def format_text(text: str, parse_mode: str = "", given: Any = None) -> FormattedText:
    """Text and entities from what a bot sent: parse_mode wins over explicit entities, detection fills the rest.

    Raises: BadRequest for broken markup, an unknown parse_mode or entities that do not fit the text.
    """
    mode = parse_mode.lower()
    entities: list[Entity] = []
    if text and mode and mode != "none":
        if mode == "html":
            text, entities = parse_html(text)
        elif mode in ("markdownv2", "markdown"):
            text, entities = parse_markdown(text, legacy=mode == "markdown")
        else:
            raise BadRequest("unsupported parse_mode")
    elif given:
        entities = [_checked(entity, text) for entity in given]
    text, entities = _trimmed(text, entities)
    taken = [(entity["offset"], entity["offset"] + entity["length"]) for entity in entities if _is_opaque(entity)]
    for found in detect(text):
        start, end = found["offset"], found["offset"] + found["length"]
        if not any(start < taken_end and taken_start < end for taken_start, taken_end in taken):
            entities.append(found)
    entities.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return FormattedText(text, tuple(entities))


def format_message(text: str, parse_mode: str = "", given: Any = None, *, is_edit: bool = False) -> FormattedText:
    """As `format_text`, for a message body of 1 to 4096 units."""
    if not text:
        raise BadRequest("message text is empty")
    formatted = format_text(text, parse_mode, given)
    if not formatted.text:
        raise BadRequest("message text is empty" if is_edit else "text must be non-empty")
    if utf16_length(formatted.text) > limits.TEXT_LENGTH:
        raise BadRequest("MESSAGE_TOO_LONG" if is_edit else "message is too long")
    return formatted


def format_caption(text: str, parse_mode: str = "", given: Any = None) -> FormattedText:
    """As `format_text`, for a caption of 0 to 1024 units."""
    formatted = format_text(text, parse_mode, given)
    if utf16_length(formatted.text) > limits.CAPTION_LENGTH:
        raise BadRequest("message caption is too long")
    return formatted


def _is_opaque(entity: Entity) -> bool:
    return entity["type"] in ("code", "pre", "text_link", "text_mention", "url", "bot_command", "mention", "hashtag")


def _checked(entity: Any, text: str) -> Entity:
    if not isinstance(entity, dict):
        raise BadRequest("can't parse MessageEntity: expected an Object")
    kind, offset, length = entity.get("type"), entity.get("offset"), entity.get("length")
    if not isinstance(offset, int) or not isinstance(length, int):
        raise BadRequest('can\'t parse MessageEntity: Field "offset" must be of type Number')
    if kind not in _GIVEN_KINDS:
        raise BadRequest("can't parse MessageEntity: Unsupported type specified")
    if offset < 0 or length <= 0 or offset + length > utf16_length(text):
        raise BadRequest("ENTITY_BOUNDS_INVALID")
    return {key: value for key, value in entity.items() if value is not None}


def _trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Telegram strips the ends of a text; entities move and shrink with it, empty ones vanish."""
    shown = text.strip()
    lead = utf16_length(text[: len(text) - len(text.lstrip())])
    total = utf16_length(shown)
    kept: list[Entity] = []
    for entity in entities:
        start = max(entity["offset"] - lead, 0)
        end = min(entity["offset"] + entity["length"] - lead, total)
        if end > start:
            kept.append({**entity, "offset": start, "length": end - start})
    return shown, kept
