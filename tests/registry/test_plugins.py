"""Finding and loading plugins: a broken one is skipped and explained, the others go on."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.registry import BUILT_IN, PluginState, PluginUnusable, Registry, load_registry
from tests.registry.conftest import Shelf

Load = Callable[[str | bytes], Registry]

GOOD = "@hookimpl\ndef register_commands():\n    return [command('upscale', aliases=('up',))]\n"


def state_of(registry: Registry, name: str) -> PluginState:
    return next(state for state in registry.plugins if state.name == name)


def test_an_enabled_plugin_s_commands_are_found_by_name_and_alias_in_any_case(shelf: Shelf, load: Load) -> None:
    shelf.install("acme", GOOD, distribution="acme-upscale", version="3.1")

    registry = load("version: 1\nplugins: {acme: {}}\n")

    upscale = registry.resolve("upscale")
    assert upscale is registry.resolve("UP") is registry.commands["upscale"]
    assert upscale is not None
    assert (upscale.plugin, upscale.plugin_version) == ("acme", "3.1")
    assert registry.resolve("downscale") is None
    assert state_of(registry, "acme") == PluginState("acme", True, "3.1", "acme-upscale", ("upscale",))


def test_both_names_of_flux_are_flux(load: Load) -> None:
    registry = load("version: 1\nplugins: {flux: {}}\n")

    assert registry.resolve("f") is registry.resolve("flux") is not None


def test_installed_is_not_active(shelf: Shelf, load: Load) -> None:
    acme = shelf.install("acme", "raise SystemExit('imported, though nobody asked')\n")
    late = shelf.install("late", GOOD)

    registry = load("version: 1\nplugins: {flux: {enabled: false}, gone: {enabled: false}, late: {enabled: false}}\n")

    assert not {acme, late} & sys.modules.keys()
    assert registry.commands == {}
    states = {state.name: (state.enabled, state.error) for state in registry.plugins}
    assert states == dict.fromkeys(("flux", "gone", "late", "acme", "qwen", "sd3", "wan"), (False, None))


BROKEN = {
    "raises at import": ("raise RuntimeError('no GPU at home')", "RuntimeError: no GPU at home", True),
    "leaves at import": ("import sys; sys.exit(3)", "failed: SystemExit: 3", True),
    "misses a module": ("import no_such_module_here", "ModuleNotFoundError: No module named", True),
    "panics at import": ("class Panic(BaseException): ...\nraise Panic('in Rust')", "failed: Panic: in Rust", True),
    "is cancelled at import": ("import asyncio\nraise asyncio.CancelledError", "failed: CancelledError", True),
    "raises what cannot be shown": (
        "class Worse(Exception):\n    def __str__(self): raise self\nraise Worse",
        "failed: Worse",
        True,
    ),
    "fails when looked at": (
        "def __getattr__(name): raise RuntimeError(name)",
        "RuntimeError: VEILRUN_API",
        True,
    ),
    "declares a word for words": (
        "GpuAffinity(8, prefer='RTX 4090')",
        "DeclarationError: prefer takes several words",
        True,
    ),
    "registers a dict": (
        "@hookimpl\ndef register_commands(): return {'up': 1}",
        "returned a str, not a Command",
        False,
    ),
    "is for a far later veilrun": ("VEILRUN_API = 99\n" + GOOD, "plugin API 99, this veilrun has 1: upgrade", False),
    "is no Python": ("def (:", "SyntaxError", True),
    "has no hook": ("def register_commands(): return []", "has no hook; mark register_commands with @hookimpl", False),
    "misspells a hook": ("@hookimpl\ndef befor_invoke(invocation): ...", "unknown hook 'befor_invoke'", True),
    "wants an unknown argument": (
        "@hookimpl\ndef before_invoke(invocation, prompt): ...",
        "Argument(s) {'prompt'} are declared in the hookimpl but can not be found in the hookspec",
        True,
    ),
    "has an async hook": (
        "@hookimpl\nasync def before_invoke(invocation): ...",
        "before_invoke is `async def`; hooks are plain functions",
        False,
    ),
    "fails to register": (
        "@hookimpl\ndef register_commands(): return 1 / 0",
        "register_commands failed: ZeroDivisionError",
        True,
    ),
    "fails while registering": (
        "@hookimpl\ndef register_commands():\n    yield command('half')\n    raise RuntimeError('half way')",
        "register_commands failed: RuntimeError: half way",
        True,
    ),
    "leaves while registering": (
        "@hookimpl\ndef register_commands(): raise SystemExit(1)",
        "register_commands failed: SystemExit: 1",
        True,
    ),
    "registers nothing": (
        "@hookimpl\ndef register_commands(): ...",
        "register_commands returned None, not a list",
        False,
    ),
    "registers a name": ("@hookimpl\ndef register_commands(): return ['up']", "returned a str, not a Command", False),
    "registers a number": ("@hookimpl\ndef register_commands(): return 7", "returned a int, not a Command", False),
    "declares wrongly": (
        "@hookimpl\ndef register_commands(): return [command('Up Scale')]",
        "DeclarationError: command 'Up Scale': Telegram takes 1 to 32 of a-z, 0-9 and _",
        True,
    ),
    "binds to nowhere": (
        "Workflow(graph={'save': {'class_type': 'Save', 'inputs': {}}}, bind={'prompt': 'save.text'}, output='save')",
        "bind 'prompt': node 'save' has no input 'text'",
        True,
    ),
    "has lost its graph": ("Workflow.load('gone.json', bind={}, output='save')", "gone.json: cannot be read", True),
    "is for a later veilrun": ("VEILRUN_API = 2\n" + GOOD, "plugin API 2, this veilrun has 1: upgrade veilrun", False),
    "is too old": ("VEILRUN_API = 0\n" + GOOD, "plugin API 0, this veilrun has 1: upgrade the plugin", False),
    "states its API as text": ("VEILRUN_API = '1'\n" + GOOD, "its VEILRUN_API is '1'; it must be a whole", False),
    "states its API as True": ("VEILRUN_API = True\n" + GOOD, "its VEILRUN_API is True; it must be a whole", False),
    "takes a built-in name": (
        "@hookimpl\ndef register_commands(): return [command('help')]",
        "/help belongs to veilrun itself already; broken cannot offer it as well",
        False,
    ),
    "takes another's name": (
        "@hookimpl\ndef register_commands(): return [command('fine'), command('mine', aliases=('f',))]",
        "/f belongs to flux already; broken cannot offer it as well",
        False,
    ),
    "takes its own name twice": (
        "@hookimpl\ndef register_commands(): return [command('up'), command('down', aliases=('up',))]",
        "/up belongs to broken already",
        False,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_plugin_is_skipped_and_explained(shelf: Shelf, load: Load, what: str) -> None:
    source, reason, has_traceback = BROKEN[what]
    module = shelf.install("broken", source)

    registry = load("version: 1\nplugins: {flux: {}, broken: {}, sd3: {}}\n")

    state = state_of(registry, "broken")
    assert list(registry.commands) == ["flux", "sd3"]
    assert state.error is not None
    assert reason in state.error
    assert "\n" not in state.error
    assert (state.enabled, state.commands) == (True, ())
    assert (state.traceback is not None) == has_traceback
    if state.traceback and "register" in what:
        assert f"{module}.py" in state.traceback


def test_strict_stops_at_a_broken_plugin(shelf: Shelf, written: Callable[[str], Path]) -> None:
    shelf.install("broken", "raise RuntimeError('no GPU at home')")

    with pytest.raises(PluginUnusable, match="RuntimeError: no GPU at home"):
        load_registry(written("version: 1\nplugins: {broken: {}}\n"), strict=True)


def test_of_two_with_the_same_name_the_first_in_the_file_wins_and_the_other_is_out_as_a_whole(
    shelf: Shelf, load: Load
) -> None:
    shelf.install("one", "@hookimpl\ndef register_commands(): return [command('paint')]")
    shelf.install(
        "two", "@hookimpl\ndef register_commands(): return [command('draw'), command('sketch', aliases=('paint',))]"
    )

    first = load("version: 1\nplugins: {one: {}, two: {}}\n")
    second = load("version: 1\nplugins: {two: {}, one: {}}\n")

    assert list(first.commands) == ["paint"]
    assert state_of(first, "two").error == "/paint belongs to one already; two cannot offer it as well"
    assert list(second.commands) == ["draw", "sketch"]
    assert state_of(second, "one").error == "/paint belongs to two already; one cannot offer it as well"


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_names_that_veilrun_answers_itself_are_taken(shelf: Shelf, load: Load, name: str) -> None:
    shelf.install("acme", f"@hookimpl\ndef register_commands(): return [command('acme', aliases=('{name}',))]")

    assert "belongs to veilrun itself" in (state_of(load("version: 1\nplugins: {acme: {}}\n"), "acme").error or "")


def test_a_plugin_that_is_not_installed_says_what_is_and_how_to_get_it(load: Load) -> None:
    registry = load("version: 1\nplugins: {flx: {}, acme: {package: veilrun-acme}}\n")

    assert state_of(registry, "flx").error == (
        "no plugin 'flx' is installed here (there are: flux, qwen, sd3, wan); install its package, or correct the name"
    )
    assert (state_of(registry, "acme").error or "").endswith("pip install veilrun-acme")


def test_package_tells_two_distributions_with_the_same_plugin_name_apart(shelf: Shelf, load: Load) -> None:
    shelf.install("flux", GOOD, distribution="Acme.Flux", version="9")

    ours = load("version: 1\nplugins: {flux: {package: veilrun}}\n")
    theirs = load("version: 1\nplugins: {flux: {package: acme_flux}}\n")

    assert list(ours.commands) == ["flux"]
    assert list(theirs.commands) == ["upscale"]
    assert state_of(theirs, "flux").version == "9"


def test_of_two_distributions_with_the_same_plugin_name_none_is_taken_silently(shelf: Shelf, load: Load) -> None:
    module = shelf.install("flux", GOOD, distribution="acme-flux")

    registry = load("version: 1\nplugins: {flux: {}, sd3: {}}\n")

    error = state_of(registry, "flux").error or ""
    assert error == "acme-flux and veilrun each offer a plugin 'flux'; say which one with `package:`"
    assert list(registry.commands) == ["sd3"]
    assert module not in sys.modules


@pytest.mark.parametrize(
    "entry_points", [b"[veilrun.plugins]\njust words\n", b"\xff\xfe", b"[veilrun.plugins]\nacme = not a module!\n"]
)
def test_metadata_that_cannot_be_read_harms_nobody_else(shelf: Shelf, load: Load, entry_points: bytes) -> None:
    module = shelf.install("acme", GOOD)
    (shelf.folder / f"{module}-1.2.dist-info" / "entry_points.txt").write_bytes(entry_points)

    registry = load("version: 1\nplugins: {acme: {}, sd3: {}}\n")

    assert list(registry.commands) == ["sd3"]
    assert state_of(registry, "acme").error


def test_what_stands_first_on_the_path_hides_the_same_distribution_behind(
    shelf: Shelf, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.install("acme", GOOD, distribution="acme", version="1.0")
    newer = Shelf(tmp_path / "newer")
    newer.folder.mkdir()
    monkeypatch.syspath_prepend(newer.folder)
    newer.install("acme", GOOD, distribution="Acme", version="2.0")

    assert state_of(load("version: 1\nplugins: {acme: {}}\n"), "acme").version == "2.0"


def test_register_commands_sees_the_plugin_s_own_config(shelf: Shelf, load: Load) -> None:
    shelf.install(
        "acme", "@hookimpl\ndef register_commands(config): return [command(name) for name in config['names']]"
    )

    registry = load("version: 1\nplugins: {acme: {config: {names: [up, down]}}}\n")

    assert list(registry.commands) == ["up", "down"]
    assert registry.commands["up"].config == {"names": ["up", "down"]}


def test_one_command_needs_no_list(shelf: Shelf, load: Load) -> None:
    shelf.install("acme", "@hookimpl\ndef register_commands(): return command('up')")

    assert list(load("version: 1\nplugins: {acme: {}}\n").commands) == ["up"]


def test_a_plugin_may_have_hooks_and_no_command(shelf: Shelf, load: Load) -> None:
    shelf.install("acme", "VEILRUN_API = 1\n@hookimpl\ndef after_invoke(outcome): ...")

    assert state_of(load("version: 1\nplugins: {acme: {}}\n"), "acme").error is None


def test_a_plugin_that_is_held_at_another_version_says_how_to_get_it(shelf: Shelf, load: Load) -> None:
    module = shelf.install(
        "acme", "@hookimpl\ndef register_commands():\n    return [command('acme')]\n", version="1.3.0"
    )

    registry = load('version: 1\nplugins: {acme: {pin: "1.2"}}\n')

    (state,) = [plugin for plugin in registry.plugins if plugin.name == "acme"]
    assert "acme" not in registry.commands
    assert state.error is not None
    assert state.error.startswith("it is held at 1.2, but 1.3.0 is here; pip install '")
    assert f"{module}==1.2'" in state.error


@pytest.mark.parametrize("pin", ["1.3.0", "1.3", "v1.3"])
def test_a_plugin_that_is_held_at_its_version_is_active(shelf: Shelf, load: Load, pin: str) -> None:
    shelf.install("acme", "@hookimpl\ndef register_commands():\n    return [command('acme')]\n", version="1.3.0")

    assert "acme" in load(f'version: 1\nplugins: {{acme: {{pin: "{pin}"}}}}\n').commands


def test_a_version_that_was_imported_is_the_one_that_runs_until_the_process_ends(shelf: Shelf, load: Load) -> None:
    source = "@hookimpl\ndef register_commands():\n    return [command('acme')]\n"
    module = shelf.install("acme", source, version="1.2.0")
    held = 'version: 1\nplugins: {acme: {pin: "1.2.0"}}\n'
    assert load(held).commands["acme"].plugin_version == "1.2.0"
    (shelf.folder / f"{module}-1.2.0.dist-info").rename(shelf.folder / f"{module}-1.3.0.dist-info")
    metadata = shelf.folder / f"{module}-1.3.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.2.0", "1.3.0"))

    assert load(held).commands["acme"].plugin_version == "1.2.0"
