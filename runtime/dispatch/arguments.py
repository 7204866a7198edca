"""The words after a command, as typed arguments. Pure: text in, values or one line of what is wrong out.

Phones write dashes and quotes of their own: `—seed 7` and “blurry” mean `--seed 7` and "blurry".
"""

import difflib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.api import BadArgument, Command, Parameter, Seed, Size, Text, Value, VeilrunError
from runtime.api.command import LATER
from runtime.dispatch.later import read_delay

MAX_LENGTH = 20_000
"""More characters than any message has (Bot API: 4096), few enough to be read in no time."""

_OPTION = re.compile(r"(?<!\S)(?:--|—|–|‒|―|−−)([^\W\d_][\w-]*)(?:(\s*=|:)|(?=\s|$))")
_WORD = re.compile(r"\s*(\S+)")
_QUOTED = re.compile(  # an apostrophe within a word closes nothing
    r"""\s*(?:"([^"]*)"|“([^”]*)”|„([^“”]*)[“”]|«([^»]*)»|'(.*?)'(?!\w)|‘(.*?)’(?!\w))""", re.DOTALL
)
_UNSEEN = frozenset("\u00ad\u061c\u200b\u200e\u200f\u2060\ufeff") | frozenset(
    map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))
)
"""Break points and marks of writing direction. Joiners stay: emoji and Persian are spelled with them."""


class BadArguments(VeilrunError):
    """The words do not fit the command. The text is one line with an example, ready to be shown."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """Every parameter's value, defaults and seed filled in; pictures are not among them.

    by_chance: parameters whose value nobody chose. delay_seconds: how much later to start, as `--in` says.
    """

    values: Mapping[str, Value]
    variant: str | None = None
    by_chance: frozenset[str] = frozenset()
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Option:
    """`--name` as written, whether `=` or `:` follows it, and the text up to the next option."""

    name: str
    is_assigned: bool
    rest: str


def parse_arguments(command: Command, text: str) -> Arguments:
    """The arguments that `text`, the words after the command, gives to `command`. Raises: BadArguments."""
    try:
        if len(text) > MAX_LENGTH:
            raise BadArgument(f"that is {len(text)} characters long, {MAX_LENGTH} are allowed")
        return _parsed(command, cleaned(text))
    except BadArgument as error:
        raise BadArguments(f"{_sentence(str(error))} Example: {command.written_example}") from error


def cleaned(text: str) -> str:
    """Text without characters that no prompt needs: controls, lone surrogates, marks that turn the writing direction.

    Every kind of space is a space, a new line stays one.
    """
    kept: list[str] = []
    for character in text:
        if character == "\n":
            kept.append(character)
        elif character.isspace():
            kept.append(" ")
        elif character not in _UNSEEN and unicodedata.category(character) not in ("Cc", "Cs"):
            kept.append(character)
    return "".join(kept).strip()


def _parsed(command: Command, text: str) -> Arguments:
    before, options = _split(text)
    words = [before]
    given: dict[str, Value] = {}
    written: dict[str, str] = {}
    variant: str | None = None
    delay_seconds = 0.0
    for option in options:
        if option.name == LATER:
            if delay_seconds:
                raise BadArgument(f"--{LATER} is there twice")
            delay_seconds, left = _delay(option)
            words.append(left)
            continue
        chosen = _variant(command, option)
        if chosen is not None:
            if option.is_assigned:
                raise BadArgument(f"--{chosen} takes no value")
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
    return filled(command, variant, given, delay_seconds=delay_seconds)


def _split(text: str) -> tuple[str, list[_Option]]:
    """The words before the first option, and each option with what follows it. Dashes in a quoted value are text."""
    marks: list[re.Match[str]] = []
    at = 0
    while mark := _OPTION.search(text, at):
        marks.append(mark)
        quoted = _QUOTED.match(text, mark.end())
        at = quoted.end() if quoted else mark.end()
    ends = [*(mark.start() for mark in marks), len(text)]
    options = [
        _Option(mark[1].lower().replace("_", "-"), mark[2] is not None, text[mark.end() : end])
        for mark, end in zip(marks, ends[1:], strict=True)
    ]
    return text[: ends[0]], options


def _delay(option: _Option) -> tuple[float, str]:
    quoted = _QUOTED.match(option.rest)
    if not quoted:
        return read_delay(option.rest)
    seconds, left = read_delay(quoted[quoted.lastindex or 0])
    return seconds, left + option.rest[quoted.end() :]


def _variant(command: Command, option: _Option) -> str | None:
    return next((variant.name for variant in command.variants if variant.name == option.name), None)


def _parameter(command: Command, name: str) -> Parameter:
    for parameter in command.parameters:
        if name in parameter.options:
            return parameter
    known = [option for parameter in command.parameters for option in parameter.options]
    known += [variant.name for variant in command.variants]
    close = _meant(name, known)
    takes = f"did you mean --{close}?" if close else f"it takes {', '.join(f'--{option}' for option in known)}."
    raise BadArgument(
        f"/{command.name} has no --{name[:32]}: {takes}" if known else f"/{command.name} takes no options"
    )


def _meant(name: str, known: list[str]) -> str | None:
    """The option that `--neg`, `--stpes` or `--size1024x768` was to be, if one comes to mind."""
    begun = [option for option in known if option.startswith(name)]
    near = difflib.get_close_matches(name, known, 1)
    glued = [option for option in known if len(option) > 1 and name.startswith(option)]
    return next(iter((*begun, *near, *glued)), None)


def _value(parameter: Parameter, option: _Option) -> tuple[str, str]:
    """The option's value, and the words after it that belong to the prompt."""
    quoted = _QUOTED.match(option.rest)
    if quoted:
        return quoted[quoted.lastindex or 0], option.rest[quoted.end() :]
    if isinstance(parameter, Text):
        value, left = option.rest.strip(), ""
    else:
        word = _WORD.match(option.rest)
        value, left = (word[1], option.rest[word.end() :]) if word else ("", "")
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


def filled(
    command: Command, variant: str | None, given: Mapping[str, Value], *, delay_seconds: float = 0.0
) -> Arguments:
    """The arguments with what was not given as the command, or its variant, has it by default. Raises: KeyError if
    there is no such variant."""
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
    by_chance = {p.name for p in command.parameters if isinstance(p, Seed) and p.name not in given}
    return Arguments(values, variant, frozenset(by_chance), delay_seconds)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."
