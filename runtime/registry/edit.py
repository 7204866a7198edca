"""Changing one word of the registry file: everything else, comments and layout too, stays as it was written."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml.comments import CommentedMap

from runtime.api import VeilrunError
from runtime.registry.document import parse, plain, read_text
from runtime.registry.errors import PluginUnusable
from runtime.registry.load import load_registry
from runtime.registry.plugins import no_plugin


class CannotEdit(VeilrunError):
    """The file cannot be replaced, or is written in a way that a small change cannot be made to.

    The text says what to write by hand.
    """


def set_enabled(path: Path, name: str, enabled: bool, *, folder: Path | None = None) -> bool:
    """Enable or disable the plugin in the file; False if it is so already. folder: of single-file plugins.

    The new content is checked as a whole before it takes the place of the old one, in one step, with its mode.

    Raises: RegistryInvalid if the file is invalid, before or after the change; PluginUnusable if there is no such
    plugin, or what is to be enabled cannot be, or would take a command's name from another; CannotEdit.
    """
    text = read_text(path)
    tree = parse(path, text)
    before = load_registry(path, text=text, folder=folder)
    known = {plugin.name: plugin for plugin in before.plugins}
    if name not in known:
        word = "enabled" if enabled else "disabled"
        raise PluginUnusable(f"{name} is not {word}: {no_plugin(name, list(known))}")
    if known[name].enabled is enabled:
        return False
    wanted = plain(tree)
    plugins = wanted.get("plugins") or {}
    wanted["plugins"] = {**plugins, name: {**plugins.get(name, {}), "enabled": enabled}}
    for changed in _candidates(text, tree, name, enabled):
        with contextlib.suppress(VeilrunError):
            if plain(parse(path, changed)) == wanted:
                break
    else:
        raise CannotEdit(f"{path.name} is laid out in another way; {_by_hand(name, enabled)}")
    for plugin in load_registry(path, text=changed, folder=folder).plugins:
        if enabled and plugin.name == name and plugin.error:
            raise PluginUnusable(f"{name} is not enabled: {plugin.error}")
        if enabled and plugin.error and not known[plugin.name].error:
            raise PluginUnusable(f"{name} is not enabled, since {plugin.name} would not work any more: {plugin.error}")
    try:
        _replace(path, changed)
    except OSError as error:
        raise CannotEdit(f"{path} cannot be replaced here: {error.strerror}; {_by_hand(name, enabled)}") from error
    return True


def _by_hand(name: str, enabled: bool) -> str:
    return f"write by hand: plugins: {{{name}: {{enabled: {_word(enabled)}}}}}"


def _word(enabled: bool) -> str:
    return "true" if enabled else "false"


def _candidates(text: str, tree: CommentedMap, name: str, enabled: bool) -> Iterator[str]:
    """The text with the change made in each way that its layout may call for."""
    word = _word(enabled)
    plugins = tree.get("plugins")
    entry = f"{name}: {{enabled: {word}}}"
    if not isinstance(plugins, CommentedMap) or not plugins:
        yield f"{text.rstrip()}\n\nplugins:\n  {entry}\n"
        yield from _in_braces(text, tree, "plugins", entry)
        return
    section = plugins.get(name)
    if isinstance(section, CommentedMap) and "enabled" in section:
        line, column = section.lc.value("enabled")
        yield _replaced(text, line, column, str(section["enabled"]).lower(), word)
        return
    if isinstance(section, CommentedMap):
        yield from _in_braces(text, plugins, name, f"enabled: {word}")
        if section:
            line, column = section.lc.key(next(iter(section)))
            yield _inserted(text, line, f"{' ' * column}enabled: {word}")
        return
    yield from _in_braces(text, tree, "plugins", entry)
    line, column = plugins.lc.key(next(reversed(plugins)))
    after = _end_of(text, line, column)
    yield _inserted(text, after, f"{' ' * column}{entry}")


def _end_of(text: str, line: int, column: int) -> int:
    """The first line after the entry that begins at `line`, which is indented by `column`."""
    lines = text.splitlines()
    after = line + 1
    for number in range(line + 1, len(lines)):
        content = lines[number]
        if content.strip() and not content.lstrip().startswith("#"):
            if len(content) - len(content.lstrip()) <= column:
                break
            after = number + 1
    return after


def _in_braces(text: str, tree: CommentedMap, key: str, content: str) -> Iterator[str]:
    """`content` as the first thing in the braces that are the value of `key`."""
    if key not in tree:
        return
    line, column = tree.lc.value(key)
    lines = text.splitlines(keepends=True)
    if line >= len(lines) or lines[line][column : column + 1] != "{":
        return
    is_empty = lines[line][column + 1 :].lstrip().startswith("}")
    comma = "" if is_empty else ", "
    lines[line] = f"{lines[line][: column + 1]}{content}{comma}{lines[line][column + 1 :].lstrip(' ')}"
    yield "".join(lines)


def _replaced(text: str, line: int, column: int, old: str, new: str) -> str:
    lines = text.splitlines(keepends=True)
    rest = lines[line][column:]
    lines[line] = lines[line][:column] + new + rest[len(old) :]
    return "".join(lines)


def _inserted(text: str, line: int, content: str) -> str:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    end = "\r\n" if "\r\n" in text else "\n"
    return "".join([*lines[:line], f"{content}{end}", *lines[line:]])


def _replace(path: Path, text: str) -> None:
    """Put `text` in the place of the file at once; a link stays a link."""
    target = path.resolve()
    mode = target.stat()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode.st_mode & 0o7777)
        with contextlib.suppress(PermissionError):
            os.chown(temporary, mode.st_uid, mode.st_gid)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
