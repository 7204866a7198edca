"""A registry of the shipped commands, and records of benchmarks that never were."""

import pytest

from runtime.bench import Machine, Measurement, Record, Run
from runtime.registry import BackendConfig, Registry, load_registry
from runtime.sandbox.comfyui import SandboxComfyUI


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    path = tmp_path_factory.mktemp("bench") / "plugin_registry.yaml"
    plugins = ", ".join(f"{name}: {{enabled: true}}" for name in ("flux", "qwen", "wan", "sd3"))
    path.write_text(f"version: 1\naccess: {{default: public}}\nplugins: {{{plugins}}}\n", encoding="utf-8")
    return load_registry(path)


def config_of(comfyui: SandboxComfyUI | str, name: str = "gpu-a", vram_gb: float = 32.0) -> BackendConfig:
    url = comfyui if isinstance(comfyui, str) else comfyui.url
    return BackendConfig(name, url, device=f"card of {name}", vram_gb=vram_gb)


def measured(template: str, backend: str, *seconds: float, load: float = 0.0) -> Measurement:
    """Runs of so many seconds, after a warm-up that took `load` longer than the first of them."""
    warm_up = Run("warm-up", 1.0, seconds[0] + load)
    return Measurement(template, backend, {}, (warm_up, *(Run("measured", one, one) for one in seconds)), True)


@pytest.fixture
def record() -> Record:
    """Two cards, three templates, one of them on one card only."""
    return Record(
        "2026-01-02T12:00:00+00:00",
        "0.1.0",
        (Machine("gpu-a", "RTX 4090", 24.0, "0.3.64", "2.8.0"), Machine("gpu-b", "RTX 5090", 32.0, "0.3.64", "2.8.0")),
        (
            measured("flux", "gpu-a", 5.0, 4.0, 6.0, load=12.0),
            measured("sd3", "gpu-a", 9.0, 9.5, 8.5),
            Measurement("wan", "gpu-a", failure="it needs 24 GB, and the registry says 12 GB"),
            measured("flux", "gpu-b", 2.0, 2.5, 1.5, load=8.0),
            measured("sd3", "gpu-b", 6.0, 6.0, 6.0),
            measured("wan", "gpu-b", 37.0),
        ),
    )
