"""Writes docs/api.md from the docstrings of what authors import: `make docs`."""

import re
import sys
from pathlib import Path

import griffe

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "runtime.api": "What a plugin imports.",
    "runtime.testing": "What its tests import; the fixtures are in [Testing a command](testing.md).",
}
HEAD = """\
# API reference

Made from the docstrings by `make docs`. [Writing a command](author.md) shows how it all goes together.
"""


def reference() -> str:
    """The whole page."""
    loader = griffe.GriffeLoader(search_paths=[str(ROOT)], allow_inspection=False)
    package = loader.load("runtime", submodules=True)
    parts = [HEAD]
    for name, says in PACKAGES.items():
        module = package[name.removeprefix("runtime.")]
        parts.append(f"## {name}\n\n{says}\n")
        for public in sorted(_exports(module), key=str.lower):
            parts += _entry(_found(package, module, public), public)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _exports(module: griffe.Object) -> list[str]:
    return [str(name) for name in module.exports or []]


def _found(package: griffe.Object, module: griffe.Object, name: str) -> griffe.Object:
    member = module.members[name]
    if member.is_alias:
        target = str(member.target_path)  # type: ignore[union-attr]
        return package[target.removeprefix("runtime.")]
    return member  # type: ignore[return-value]


def _entry(found: griffe.Object, name: str) -> list[str]:
    lines = [f"### {name}\n"]
    lines.append(f"```python\n{_signature(found, name)}\n```\n")
    if found.docstring:
        lines.append(found.docstring.value.strip() + "\n")
    if found.is_class:
        for member in found.members.values():
            if member.name.startswith("_") or member.is_alias or not member.docstring:
                continue
            if member.is_function or (member.is_attribute and "property" in member.labels):
                lines.append(f"- `{_signature(member, member.name)}`: {_one_line(member.docstring.value)}")
        lines.append("")
    return lines


def _signature(found: griffe.Object, name: str) -> str:
    if found.is_class:
        fields = [
            f"    {member.name}: {member.annotation}" + (f" = {member.value}" if member.value is not None else "")
            for member in found.members.values()
            if member.is_attribute
            and member.annotation
            and not member.name.startswith("_")
            and not _is_property(member)
        ]
        bases = ", ".join(str(base) for base in found.bases)
        return "\n".join([f"class {name}({bases}):" if bases else f"class {name}:", *(fields or ["    ..."])])
    if found.is_function:
        given = ", ".join(_parameters(found))
        result = f" -> {found.returns}" if found.returns else ""
        return f"{name}({given}){result}"
    annotation = f": {found.annotation}" if getattr(found, "annotation", None) else ""
    return f"{name}{annotation}" + (f" = {found.value}" if getattr(found, "value", None) is not None else "")


def _parameters(function: griffe.Function) -> list[str]:
    shown = []
    was_star = False
    for one in function.parameters:
        if one.name in ("self", "cls"):
            continue
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(one.kind.value if one.kind else "", "")
        if one.kind and one.kind.value == "keyword-only" and not was_star:
            shown.append("*")
            was_star = True
        was_star = was_star or star == "*"
        text = star + one.name + (f": {one.annotation}" if one.annotation else "")
        shown.append(text + (f" = {one.default}" if one.default is not None and not star else ""))
    return shown


def _is_property(member: griffe.Object) -> bool:
    return "property" in member.labels


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    Path(ROOT / "docs" / "api.md").write_text(reference(), encoding="utf-8")
    sys.stdout.write("docs/api.md\n")
