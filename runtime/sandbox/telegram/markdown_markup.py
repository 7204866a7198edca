"""parse_mode MarkdownV2 (and the legacy Markdown): marks to entities, with the server's complaints."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.sandbox.telegram.errors import BadRequest
from runtime.sandbox.telegram.utf16 import Entity, utf16_length

_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")
_MARKS = {"*": "bold", "_": "italic", "__": "underline", "~": "strikethrough", "||": "spoiler"}
_LEGACY_MARKS = {"*": "bold", "_": "italic"}
_NAMES = {
    "bold": "Bold",
    "italic": "Italic",
    "underline": "Underline",
    "strikethrough": "Strikethrough",
    "spoiler": "Spoiler",
    "code": "Code",
    "pre": "PreCode",
    "text_link": "TextUrl",
}


@dataclass(slots=True)
class _Open:
    mark: str
    kind: str
    start: int
    at: int


def parse_markdown(source: str, *, legacy: bool = False) -> tuple[str, list[Entity]]:
    """Plain text and entities. Raises BadRequest "can't parse entities: …" for what must be escaped or closed."""
    return _Markdown(source, legacy).run()


class _Markdown:
    def __init__(self, source: str, legacy: bool) -> None:
        self.source = source
        self.legacy = legacy
        self.marks = _LEGACY_MARKS if legacy else _MARKS
        self.position = 0
        self.shown: list[str] = []
        self.written = 0
        self.stack: list[_Open] = []
        self.entities: list[Entity] = []
        self.quote_start: int | None = None

    def run(self) -> tuple[str, list[Entity]]:
        while self.position < len(self.source):
            self._step()
        self._end_quote()
        if self.stack:
            opened = self.stack[-1]
            raise self._broken(f"Can't find end of {_NAMES[opened.kind]} entity at byte offset {opened.at}")
        return "".join(self.shown), self.entities

    def _step(self) -> None:
        source, position = self.source, self.position
        character = source[position]
        if character == "\\" and source[position + 1 : position + 2] and source[position + 1] < "\x7f":
            self._write(source[position + 1])
            self.position += 2
        elif source.startswith("```", position):
            self._fenced("```", "pre")
        elif character == "`":
            self._fenced("`", "code")
        elif character == "[" or (character == "!" and source.startswith("![", position)):
            self._open("[", "text_link", len("![") if character == "!" else 1)
        elif character == "]" and self.stack and self.stack[-1].mark == "[":
            self._link()
        elif character == ">" and not self.legacy and self._at_line_start():
            self.quote_start = self.written if self.quote_start is None else self.quote_start
            self.position += 1
        elif mark := self._mark():
            self._toggle(mark)
        elif character == "\n":
            if not source.startswith(">", position + 1):
                self._end_quote()
            self._write(character)
            self.position += 1
        elif character in _RESERVED and not self.legacy:
            raise self._broken(f"Character '{character}' is reserved and must be escaped with the preceding '\\'")
        else:
            self._write(character)
            self.position += 1

    def _mark(self) -> str | None:
        for mark in sorted(self.marks, key=len, reverse=True):
            if self.source.startswith(mark, self.position):
                return mark
        return None

    def _toggle(self, mark: str) -> None:
        if self.stack and self.stack[-1].mark == mark:
            self._close(len(mark))
        elif mark == "__" and self.stack and self.stack[-1].mark == "_":
            self._close(1)
        else:
            self._open(mark, self.marks[mark], len(mark))

    def _open(self, mark: str, kind: str, width: int) -> None:
        self.stack.append(_Open(mark, kind, self.written, self._byte_offset()))
        self.position += width

    def _close(self, width: int) -> None:
        opened = self.stack.pop()
        self._add(opened.kind, opened.start)
        self.position += width

    def _link(self) -> None:
        opened = self.stack.pop()
        self.position += 1
        if not self.source.startswith("(", self.position):
            return
        end = self.source.find(")", self.position)
        if end < 0:
            raise self._broken(f"Can't find end of a URL at byte offset {self._byte_offset()}")
        self._add("text_link", opened.start, url=self.source[self.position + 1 : end].replace("\\", ""))
        self.position = end + 1

    def _fenced(self, mark: str, kind: str) -> None:
        at = self._byte_offset()
        start = self.position + len(mark)
        end = self.source.find(mark, start)
        while end > 0 and self.source[end - 1] == "\\" and not self.legacy:
            end = self.source.find(mark, end + 1)
        if end < 0:
            raise self._broken(f"Can't find end of {_NAMES[kind]} entity at byte offset {at}")
        body = self.source[start:end]
        extra = {}
        if kind == "pre" and "\n" in body:
            first, rest = body.split("\n", 1)
            if not first or first.replace("-", "").replace("_", "").replace("+", "").isalnum():
                body = rest
                extra = {"language": first} if first else {}
        begin = self.written
        self._write(body if self.legacy else body.replace("\\`", "`").replace("\\\\", "\\"))
        self._add(kind, begin, **extra)
        self.position = end + len(mark)

    def _end_quote(self) -> None:
        if self.quote_start is not None:
            self._add("blockquote", self.quote_start)
            self.quote_start = None

    def _add(self, kind: str, start: int, **extra: str) -> None:
        if self.written > start:
            self.entities.append({"type": kind, "offset": start, "length": self.written - start, **extra})

    def _write(self, text: str) -> None:
        self.shown.append(text)
        self.written += utf16_length(text)

    def _at_line_start(self) -> bool:
        return self.position == 0 or self.source[self.position - 1] == "\n"

    def _byte_offset(self) -> int:
        return len(self.source[: self.position].encode())

    def _broken(self, what: str) -> BadRequest:
        return BadRequest(f"can't parse entities: {what}")
