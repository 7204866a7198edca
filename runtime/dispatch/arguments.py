"""The words after a command, as typed arguments. Pure: text in, values or one line of what is wrong out.

Phones write dashes and quotes of their own: `—seed 7` and “blurry” mean `--seed 7` and "blurry".
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.api import BadArgument, Command, Parameter, Size, Text, Value, VeilrunError

QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»", "'": "'", "‘": "’"}
_OPTION = re.compile(r"(?<!\S)(?:--|—|–|‒|―|−−)([A-Za-z][A-Za-z0-9_-]*)(?:=|(?=\s|$))")
_WORD = re.compile(r"\s*(\S+)")


class BadArguments(VeilrunError):
    """The words do not fit the command. The text is one line with an example, ready to be shown."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """Every parameter's value, defaults and seed filled in; pictures are not among them."""

    values: Mapping[str, Value]
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class _Option:
    """`--name` as written, and the text up to the next option."""

    name: str
    rest: str


def parse_arguments(command: Command, text: str) -> Arguments:
    """The arguments that `text`, the words after the command, gives to `command`. Raises: BadArguments."""
    try:
        return _parsed(command, cleaned(text))
    except BadArgument as error:
        raise BadArguments(f"{_sentence(str(error))} Example: {command.written_example}") from error


def cleaned(text: str) -> str:
    """Text without characters that no prompt needs: controls, lone surrogates; every kind of space is a space."""
    kept: list[str] = []
    for character in text:
        category = unicodedata.category(character)
        if character == "\n":
            kept.append(character)
        elif category in ("Zs", "Zl", "Zp") or character in "\t\r":
            kept.append(" ")
        elif category not in ("Cc", "Cs", "Cn"):
            kept.append(character)
    return "".join(kept).strip()


def _parsed(command: Command, text: str) -> Arguments:
    words, options = _split(command, text)
    given: dict[str, Value] = {}
    written: dict[str, str] = {}
    variant: str | None = None
    for option in options:
        chosen = _variant(command, option)
        if chosen is not None:
            if variant is not None:
                raise BadArgument(
                    f"--{variant} and --{chosen} do not go together"
                    if variant != chosen
                    else f"--{chosen} is there twice"
                )
            variant = chosen
            words.append(option.rest)
            continue
        parameter = _parameter(command, option.name)
        if parameter.name in given:
            first = written[parameter.name]
            raise BadArgument(
                f"--{option.name} is there twice"
                if first == option.name
                else f"--{first} and --{option.name} say the same"
            )
        value, left = _value(parameter, option)
        given[parameter.name] = parameter.parse(value, option.name)
        written[parameter.name] = option.name
        words.append(left)
    _take_words(command, " ".join(word for word in (part.strip() for part in words) if word), given)
    return Arguments(_filled(command, variant, given), variant)


def _split(command: Command, text: str) -> tuple[list[str], list[_Option]]:
    """The words before the first option, and each option with what follows it."""
    quoted = _quoted_spans(text)
    marks = [mark for mark in _OPTION.finditer(text) if not any(start < mark.start() < end for start, end in quoted)]
    if not marks:
        return [text], []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    options = [
        _Option(mark[1].lower().replace("_", "-"), text[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    ]
    return [text[: marks[0].start()]], options


def _quoted_spans(text: str) -> list[tuple[int, int]]:
    """Where quoted values of options stand: dashes in them are text."""
    spans: list[tuple[int, int]] = []
    for mark in _OPTION.finditer(text):
        start = mark.end() + len(text[mark.end() :]) - len(text[mark.end() :].lstrip())
        end = _quote_end(text, start)
        if end is not None:
            spans.append((start, end))
    return spans


def _quote_end(text: str, start: int) -> int | None:
    closing = QUOTES.get(text[start : start + 1])
    if closing is None:
        return None
    ends = [end for end in (text.find(mark, start + 1) for mark in closing) if end > 0]
    return min(ends) if ends else None


def _variant(command: Command, option: _Option) -> str | None:
    return next((variant.name for variant in command.variants if variant.name == option.name), None)


def _parameter(command: Command, name: str) -> Parameter:
    for parameter in command.parameters:
        if name in parameter.options:
            return parameter
    known = [option for parameter in command.parameters for option in parameter.options]
    known += [variant.name for variant in command.variants]
    close = difflib.get_close_matches(name, known, 1)
    takes = f"did you mean --{close[0]}?" if close else f"it takes {', '.join(f'--{option}' for option in known)}."
    raise BadArgument(
        f"/{command.name} has no --{name[:32]}: {takes}" if known else f"/{command.name} takes no options"
    )


def _value(parameter: Parameter, option: _Option) -> tuple[str, str]:
    """The option's value, and the words after it that belong to the prompt."""
    rest = option.rest.lstrip()
    end = _quote_end(rest, 0)
    if end is not None:
        return rest[1:end], rest[end + 1 :]
    if isinstance(parameter, Text):
        value, left = rest.strip(), ""
    else:
        word = _WORD.match(rest)
        value, left = (word[1], rest[word.end() :]) if word else ("", "")
    if not value:
        raise BadArgument(f"--{option.name} needs a value, as in {parameter.usage}")
    return value, left


def _take_words(command: Command, words: str, given: dict[str, Value]) -> None:
    positional = next((p for p in command.parameters if isinstance(p, Text) and p.positional), None)
    if positional is None:
        if words:
            raise BadArgument(f"/{command.name} takes options only, not {words[:24]!r}")
        return
    if words:
        given[positional.name] = positional.parse(words, positional.name)
    elif positional.default is None:
        raise BadArgument(f"tell me {positional.summary or positional.name}")


def _filled(command: Command, variant: str | None, given: Mapping[str, Value]) -> dict[str, Value]:
    chosen = command.variant(variant)
    values: dict[str, Value] = {}
    for parameter in command.parameters:
        if parameter.name in given:
            values[parameter.name] = given[parameter.name]
            continue
        default = chosen.defaults.get(parameter.name) if chosen else None
        if default is None:
            default = parameter.initial()
        if default is not None:
            values[parameter.name] = list(default) if isinstance(parameter, Size) else default  # type: ignore[arg-type]
    return values


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."
