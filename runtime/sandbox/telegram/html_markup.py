"""parse_mode HTML: the tags the Bot API knows, its entities, and its complaints with byte offsets."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.utf16 import Entity, utf16_length

_KINDS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "a": "text_link",
    "blockquote": "blockquote",
    "tg-emoji": "custom_emoji",
}
_TOKEN = re.compile(r"<(?P<close>/)?(?P<name>[A-Za-z][\w-]*)?(?P<attributes>[^<>]*)>|(?P<lone><)")
_ATTRIBUTE = re.compile(r"([\w-]+)(?:\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+)))?")
_NAMED = re.compile(r"&(#\d+|#x[0-9a-fA-F]+|lt|gt|amp|quot);?")


@dataclass(slots=True)
class _Open:
    name: str
    attributes: dict[str, str]
    start: int


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Plain text and entities. Raises BadRequest "can't parse entities: …" as the server words it."""
    shown: list[str] = []
    entities: list[Entity] = []
    stack: list[_Open] = []
    written = 0
    position = 0
    for token in _TOKEN.finditer(source):
        piece = _unescape(source[position : token.start()])
        shown.append(piece)
        written += utf16_length(piece)
        position = token.end()
        at = len(source[: token.start()].encode())
        name = (token["name"] or "").lower()
        if token["lone"]:
            raise _broken(f"Unclosed start tag at byte offset {at}")
        if not token["close"]:
            attributes = _attributes(token["attributes"])
            if name not in _KINDS or (name == "span" and attributes.get("class") != "tg-spoiler"):
                raise _broken(f'Unsupported start tag "{name}" at byte offset {at}')
            stack.append(_Open(name, attributes, written))
            continue
        if not stack:
            raise _broken(f"Unexpected end tag at byte offset {at}")
        opened = stack.pop()
        if name and name != opened.name:
            raise _broken(f'Unmatched end tag at byte offset {at}, expected "</{opened.name}>", found "</{name}>"')
        entity = _entity(opened, written, "".join(shown))
        if entity:
            entities.append(entity)
    if stack:
        raise _broken(f'Can\'t find end tag corresponding to start tag "{stack[-1].name}"')
    shown.append(_unescape(source[position:]))
    return "".join(shown), _merged(entities)


def _entity(opened: _Open, end: int, shown: str) -> Entity | None:
    length = end - opened.start
    if length == 0:
        return None
    entity: Entity = {"type": _KINDS[opened.name], "offset": opened.start, "length": length}
    if opened.name == "a":
        url = opened.attributes.get("href", shown[-length:])
        if not re.match(r"(https?|tg|mailto|tel|ton)[:/]", url) and "." not in url:
            return None
        if url.startswith("tg://user?id="):
            return {**entity, "type": "text_mention", "user_id": int(url.removeprefix("tg://user?id="))}
        entity["url"] = url
    elif opened.name == "tg-emoji":
        entity["custom_emoji_id"] = opened.attributes.get("emoji-id", "")
    elif opened.name == "blockquote" and "expandable" in opened.attributes:
        entity["type"] = "expandable_blockquote"
    elif opened.name == "code" and opened.attributes.get("class", "").startswith("language-"):
        entity["language"] = opened.attributes["class"].removeprefix("language-")
    return entity


def _merged(entities: list[Entity]) -> list[Entity]:
    """`<pre><code class="language-x">` is one pre entity with a language; plain code elsewhere has none."""
    fences = {(entity["offset"], entity["length"]): entity for entity in entities if entity["type"] == "pre"}
    kept = []
    for entity in entities:
        if entity["type"] == "code":
            fence = fences.get((entity["offset"], entity["length"]))
            language = entity.pop("language", None)
            if fence is not None:
                if language:
                    fence["language"] = language
                continue
        kept.append(entity)
    return kept


def _attributes(source: str) -> dict[str, str]:
    return {
        match[1].lower(): html.unescape(match[2] or match[3] or match[4] or "") for match in _ATTRIBUTE.finditer(source)
    }


def _unescape(text: str) -> str:
    return _NAMED.sub(lambda match: html.unescape(f"&{match[1]};"), text)


def _broken(what: str) -> BadRequest:
    return BadRequest(f"can't parse entities: {what}")
