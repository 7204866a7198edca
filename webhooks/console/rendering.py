"""From values to HTML. Templates get values and words; nothing that a user wrote ever comes here."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from runtime.console import words

HERE = Path(__file__).parent
STATIC = HERE / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@pass_context
def since(context: Context, at: datetime | None) -> Markup:
    """How long ago that was; the script counts on from there."""
    return _time(context, "since", at, lambda seconds: words.span(-seconds))


@pass_context
def until(context: Context, at: datetime | None) -> Markup:
    """How long it is until then, roughly, as it is expected."""
    return _time(context, "until", at, _expected)


@pass_context
def clock(context: Context, at: datetime | None) -> Markup:
    """The time of day, in UTC until the script makes it local."""
    if at is None:
        return Markup("–")
    moment = at.astimezone(UTC)
    is_today = moment.date() == context["at"].astimezone(UTC).date()
    shown = f"{moment:%H:%M:%S}" if is_today else f"{moment:%Y-%m-%d %H:%M:%S}"
    return Markup('<time data-clock datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", shown)


def _time(context: Context, kind: str, at: datetime | None, say: Any) -> Markup:
    """Without words for the stream: what only time changes is no news."""
    if at is None:
        return Markup("–")
    shown = "" if context["is_live"] else say((at - context["at"]).total_seconds())
    moment = at.astimezone(UTC)
    return Markup('<time data-{}="{}" datetime="{}">{}</time>').format(
        kind, f"{at.timestamp():.1f}", f"{moment:%Y-%m-%dT%H:%M:%SZ}", shown
    )


def _expected(seconds: float) -> str:
    if seconds < 0:
        return f"{words.span(-seconds)} late" if seconds < -10 else "any moment"
    return f"in {words.span(seconds)}"


def _percent(fraction: float | None) -> int:
    return int(min(max(fraction or 0.0, 0.0), 1.0) * 100)


@cache
def version() -> str:
    """Changes with the files that browsers keep."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        since=since, until=until, clock=clock, percent=_percent, span=words.span, took=words.took
    )
    environment.globals.update(counted=words.counted, meaning=words.meaning, version=version())
    return environment


def render(template: str, facts: Mapping[str, Any]) -> str:
    """The HTML of a template of this folder."""
    return _environment().get_template(template).render(facts)
