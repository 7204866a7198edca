"""Eighty ways to get the file wrong. Each is answered with its place, its cause and its cure."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.registry import RegistryInvalid, load_registry

GPU = '{name: gpu-a, url: "http://127.0.0.1:8188", vram_gb: 24}'
ADDRESS = "a" * 56


def backend(**changes: str) -> str:
    keys = {"name": "gpu-a", "url": '"http://127.0.0.1:8188"', "vram_gb": "24", **changes}
    inside = ", ".join(f"{key}: {value}" for key, value in keys.items() if value != "-")
    return f"version: 1\nbackends:\n  - {{{inside}}}\n"


def plugin(section: str, name: str = "flux") -> str:
    return f"version: 1\nplugins:\n  {name}: {section}\n"


BROKEN: dict[str, tuple[str, int, str]] = {
    "nothing": ("", 1, "the file is empty"),
    "only a comment": ("# soon\n", 1, "the file is empty"),
    "a list": ("- version\n", 1, "must hold keys and values"),
    "a word": ("version\n", 1, "must hold keys and values"),
    "a tab": ("version: 1\nplugins:\n\tflux: {}\n", 3, "a tab where YAML wants spaces"),
    "a bracket left open": ("version: 1\nbackends: [\n", 3, "not YAML"),
    "a quote left open": ('version: 1\naccess: {default: "deny}\n', 3, "not YAML"),
    "a key twice": ("version: 1\nversion: 1\n", 2, "'version' is there twice"),
    "a second document": ("version: 1\n---\nversion: 1\n", 2, "a second document begins here"),
    "an alias of nothing": ("version: 1\nplugins: *all\n", 2, "undefined alias"),
    "a character that YAML keeps": ("version: 1\nplugins: @flux\n", 2, "found character"),
    "wrong indentation": ("version: 1\nplugins:\n  flux: {}\n wan: {}\n", 4, "not YAML"),
    "a colon without a space": ("version: 1\nplugins:\n  flux:{}\n", 2, "'flux:{}' does not fit here"),
    "no version": ("plugins: {}\n", 1, "'version' is missing"),
    "a version to come": ("version: 2\n", 1, "version"),
    "a version as text": ("version: '1'\n", 1, "'1' is not a number"),
    "a version with a point": ("version: 1.0\n", 1, "1.0 is no whole number"),
    "an unknown part": ("version: 1\nplugin: {}\n", 2, "unknown key 'plugin'"),
    "an empty part": ("version: 1\nplugins:\n", 2, "it is empty"),
    "plugins as a list": ("version: 1\nplugins: [flux]\n", 2, "does not fit here"),
    "a plugin without anything": ("version: 1\nplugins:\n  flux:\n", 3, "it is empty"),
    "a plugin that is a word": (plugin("on"), 3, "does not fit here"),
    "a plugin's impossible name": (plugin("{}", "my plugin"), 3, "'my plugin' is no name"),
    "a slip in a plugin's key": (plugin("{enable: true}"), 3, "unknown key 'enable'"),
    "yes for true": (plugin("{enabled: yes}"), 3, "neither true nor false"),
    "a pin that is a number": (plugin("{pin: 1.2}"), 3, "1.2 is not text"),
    "an unknown limit": (plugin("{limits: {seconds: 5}}"), 3, "unknown key 'seconds'"),
    "a limit of nothing": (plugin("{limits: {per_user: 0}}"), 3, "0 is out of range"),
    "a limit with a unit": (plugin("{limits: {run_seconds: 5m}}"), 3, "'5m' is not a number"),
    "a limit that never ends": (plugin("{limits: {run_seconds: .inf}}"), 3, "inf is no size"),
    "too many tries": (plugin("{limits: {max_attempts: 99}}"), 3, "99 is out of range"),
    "an unknown affinity": (plugin("{affinity: {gpu: 4090}}"), 3, "unknown key 'gpu'"),
    "labels as a word": (plugin("{affinity: {labels: fast}}"), 3, "does not fit here"),
    "a priority beyond the scale": (plugin("{priority: 100}"), 3, "100 is out of range"),
    "a default of no parameter": (plugin("{defaults: {step: 4}}"), 3, "flux has no parameter 'step'"),
    "a default out of range": (plugin("{defaults: {steps: 99}}"), 3, "must be from 1 to 50"),
    "a default between two sizes": (plugin("{defaults: {size: 1000x1000}}"), 3, "the nearest is 992x992"),
    "a default for a seed": (plugin("{defaults: {seed: 5}}"), 3, "seed cannot have a default"),
    "an empty default": (plugin("{defaults: {negative: }}", "sd3"), 3, "it is empty"),
    "a backend without a name": (backend(name="-"), 3, "'name' is missing"),
    "a backend without an address": (backend(url="-"), 3, "'url' is missing"),
    "a backend without memory": (backend(vram_gb="-"), 3, "'vram_gb' is missing"),
    "a backend's impossible name": (backend(name="'gpu a'"), 3, "'gpu a' is no name"),
    "a name of nobody else": (
        f"version: 1\nbackends:\n  - {GPU}\n  - {GPU.replace('8188', '8189')}\n",
        4,
        "has the same name already",
    ),
    "an address without http": (backend(url="127.0.0.1:8188"), 3, "no address of a server"),
    "an address with a path": (backend(url='"http://127.0.0.1:8188/prompt"'), 3, "more than a server's address"),
    "an address with a password": (backend(url='"http://me:secret@127.0.0.1:8188"'), 3, "more than a server's address"),
    "an address of another network": (backend(url=f'"http://{ADDRESS}.onion"'), 3, ".onion address belongs to Tor"),
    "a host with a dot at its end": (backend(url='"http://example.org.:8188"'), 3, "unusual way"),
    "a hidden service dialled directly": (backend(url=f'"http://{ADDRESS}.anon"'), 3, "is a hidden service"),
    "an open address behind anon": (backend(transport="anon"), 3, "is no hidden service"),
    "a hidden address that was cut": (backend(transport="anon", url='"http://abc.anon"'), 3, "gpu-a: "),
    "a transport of its own": (backend(transport="tor"), 3, "'tor' is not allowed"),
    "memory with a unit": (backend(vram_gb="24GB"), 3, "'24GB' is not a number"),
    "no memory": (backend(vram_gb="0"), 3, "0 is out of range"),
    "memory that is no number": (backend(vram_gb=".nan"), 3, "nan is no size"),
    "too much lookahead": (backend(lookahead="99"), 3, "99 is out of range"),
    "a word about traces": (backend(traces="some"), 3, "'some' is not allowed"),
    "a pin as a word": (backend(pin="flux"), 3, "does not fit here"),
    "an override without a class": (backend(overrides="{KSampler: {inputs: {}}}"), 3, "'class_type' is missing"),
    "an access that is too easy": ("version: 1\naccess: {default: allow}\n", 2, "'allow' is not allowed"),
    "one user instead of a list": ("version: 1\naccess: {allow_users: 5}\n", 2, "5 does not fit here"),
    "a user's name": ("version: 1\naccess:\n  allow_users:\n    - 5\n    - '@ada'\n", 5, "'@ada' is not a number"),
    "a queue of nobody": ("version: 1\nlimits: {queued: 0}\n", 2, "0 is out of range"),
    "a placeholder as a value": (backend(url="{{ url }}"), 3, "a bracket where a word is expected"),
    "a placeholder as a key": (plugin("{}", "{{ name }}"), 3, "a bracket where a word is expected"),
    "a list as a key": ("version: 1\n[a, b]: c\n", 2, "a bracket where a word is expected"),
    "a section as a key": ("version: 1\nplugins:\n  ? {flux: 1}\n  : {}\n", 3, "a bracket where a word is expected"),
    "a tag with a wrong value": (plugin("{enabled: !!bool maybe}"), 3, "the tag !!bool has no meaning here"),
    "a tag of another program": (plugin("{config: {key: !vault abc}}"), 3, "the tag !vault has no meaning here"),
    "an ordered map": ("version: 1\naccess: !!omap [a: 1]\n", 2, "the tag !!omap has no meaning here"),
    "a slip in what is merged in": (
        "version: 1\nplugins:\n  flux: {config: &all {speed: 1}}\n  wan:\n    <<: *all\n",
        4,
        "unknown key 'speed'",
    ),
    "a merge of a word": ("version: 1\nplugins:\n  flux: {<<: all}\n", 3, "not YAML: expected a mapping"),
    "an input that is a section": (
        backend(overrides="{A: {class_type: B, inputs: {device: {}}}}"),
        3,
        "{} is neither text nor a number",
    ),
    "an invisible character": ("version: 1\n# \x07\n", 2, "the character U+0007 is not allowed"),
    "a character that nothing can store": (backend(device='"\\0"'), 3, "the character U+0000 is not allowed"),
    "half a character": (plugin('{config: {key: "\\ud800"}}'), 3, "the character U+D800 is not allowed"),
    "a number of thousands of digits": (
        f"version: 1\naccess:\n  admins:\n    - {'9' * 5000}\n",
        4,
        "no number and no date that there is",
    ),
    "a day that never comes": (plugin("{config: {day: 2026-99-99}}"), 3, "no number and no date that there is"),
    "a conflict of versions": ("version: 1\n<<<<<<< ours\nplugins: {}\n=======\n", 3, "not YAML"),
    "curly quotes": ("version: 1\naccess: {default: “deny”}\n", 2, "'“deny”' is not allowed"),
    "another YAML": ("%YAML 9.9\n---\nversion: 1\n", 1, "not YAML: found incompatible YAML document"),
    "a web page": ("<html><body>404</body></html>\n", 1, "must hold keys and values"),
    "no name at all": (plugin("{}", '""'), 3, "'' is no name"),
}


@pytest.mark.parametrize(("text", "line", "cause"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_answered_with_place_cause_and_cure(
    written: Callable[[str | bytes], Path], text: str, line: int, cause: str
) -> None:
    with pytest.raises(RegistryInvalid) as raised:
        load_registry(written(text))

    (problem,) = raised.value.problems
    assert (problem.file, problem.line) == ("plugin_registry.yaml", line)
    assert problem.column >= 1
    assert cause in problem.message
    assert len(problem.hint) > 8 or re.search(r"; write|: write|use |should be|nearest", problem.message)
    assert "secret" not in str(problem)


def test_there_are_as_many_kinds_as_we_say() -> None:
    assert len(BROKEN) >= 80
