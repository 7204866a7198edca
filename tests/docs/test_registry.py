"""docs/registry.md describes every key of the registry file, and its example is a valid one."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from runtime.registry import RegistryInvalid, load_registry
from runtime.registry.schema import BackendSection, PluginSection, RegistryFile

ROOT = Path(__file__).parents[2]
REGISTRY = (ROOT / "docs" / "registry.md").read_text(encoding="utf-8")
EXAMPLE = "\n" + re.findall(r"```yaml\n(.*?)```", REGISTRY, re.DOTALL)[0]
MANY = {"backends": ("backends[]", BackendSection), "plugins": ("plugins.*", PluginSection)}


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if not prefix and name in MANY:
            below, section = MANY[name]
            yield from keys(section, f"{below}.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys(field.annotation, f"{prefix}{name}.")


DOCUMENTED = re.findall(r"^\| `([^`]+)` \|", REGISTRY, re.MULTILINE)


@pytest.mark.parametrize("key", list(keys(RegistryFile)))
def test_every_key_is_documented(key: str) -> None:
    assert key in DOCUMENTED


def test_nothing_is_documented_that_does_not_exist() -> None:
    assert set(DOCUMENTED) == set(keys(RegistryFile))


@pytest.mark.parametrize("key", list(keys(RegistryFile)))
def test_every_key_is_in_the_complete_example(key: str) -> None:
    assert re.search(rf"[ {{\n]{key.rpartition('.')[2]}:", EXAMPLE)


def test_the_complete_example_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "plugin_registry.yaml"
    path.write_text(EXAMPLE, encoding="utf-8")

    registry = load_registry(path, strict=True)

    assert list(registry.commands) == ["flux", "qwen", "wan"]
    assert registry.warnings == ()


@pytest.mark.parametrize(
    "content",
    [
        "version: 1\n\nbackends:\n  - name: a\n    url: http://a\n    vram_gb: 8\n    vram: 24\n",
        "version: 1\n" + "\n" * 10 + "plugins: {flux: {defaults: {steps: 99}}}\n",
    ],
)
def test_the_problems_shown_are_those_that_are_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "plugin_registry.yaml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(RegistryInvalid) as refused:
        load_registry(path)

    assert f"\n{refused.value}\n" in REGISTRY
