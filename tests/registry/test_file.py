"""The registry file: what it may say, and how it is told what is wrong, where, and what to write instead."""

from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.anon.address import HiddenAddress
from runtime.registry import Access, BackendConfig, Problem, Registry, RegistryInvalid, load_registry
from runtime.registry.schema import origin_of

ROOT = Path(__file__).parents[2]
HIDDEN = str(HiddenAddress.of(bytes(range(32)), ".anon"))
BACKEND = "version: 1\nbackends:\n  - {{name: a, url: '{url}', transport: {transport}, vram_gb: 8}}\n"

Load = Callable[[str | bytes], Registry]


def problems_of(load: Load, content: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(RegistryInvalid) as refused:
        load(content)
    problems = refused.value.problems
    assert str(refused.value) == "\n".join(str(problem) for problem in problems)
    return problems


def test_the_shipped_file_loads_all_four_plugins() -> None:
    registry = load_registry(ROOT / "plugin_registry.yaml", strict=True)

    assert list(registry.commands) == ["flux", "qwen", "wan", "sd3"]
    assert registry.access == Access(default="deny")
    assert [backend.url for backend in registry.backends] == ["http://127.0.0.1:8188"]
    assert [warning.message for warning in registry.warnings] == ["nobody may use the bot"]


def test_the_design_s_example_is_read_in_full(load: Load) -> None:
    registry = load(f"""\
        version: 1
        access: {{default: deny, allow_users: [123456], allow_chats: [-1001], admins: [7]}}
        backends:
          - {{name: gpu-a, url: "http://{HIDDEN}", transport: anon, device: "RTX 5090", vram_gb: 32, labels: [fast]}}
          - {{name: gpu-b, url: "http://127.0.0.1:8188/", device: "RTX 4090", vram_gb: 24.5, lookahead: 0}}
        plugins:
          flux: {{limits: {{concurrency: 2, run_seconds: 120}}, defaults: {{steps: 6, size: [512, 768]}}}}
          qwen: {{affinity: {{prefer: [gpu-a, RTX 4090], vram_gb: 30, labels: [fast]}}}}
          sd3: {{defaults: {{negative: "people", cfg: 3, size: 768x512}}, config: {{anything: [1, {{deep: true}}]}}}}
    """)

    assert registry.backends == (
        BackendConfig("gpu-a", f"http://{HIDDEN}", "anon", "RTX 5090", 32, frozenset({"fast"})),
        BackendConfig("gpu-b", "http://127.0.0.1:8188", "direct", "RTX 4090", 24.5, lookahead=0),
    )
    assert registry.backend("gpu-b") == registry.backends[1]
    assert registry.backend("gpu-c") is None
    flux, qwen, sd3 = (registry.commands[name].command for name in ("flux", "qwen", "sd3"))
    assert (flux.limits.concurrency, flux.limits.run_seconds, flux.limits.load_seconds) == (2, 120, 600)
    assert (flux.parameter("steps").initial(), flux.parameter("size").initial()) == (6, [512, 768])
    assert (qwen.affinity.prefer, qwen.affinity.vram_gb) == (("gpu-a", "RTX 4090"), 30)
    assert qwen.affinity.labels == {"fast"}
    assert qwen.affinity.model_set == "qwen-image-edit-2509"
    assert [sd3.parameter(name).initial() for name in ("negative", "cfg", "size")] == ["people", 3, [768, 512]]
    assert registry.commands["sd3"].config == {"anything": [1, {"deep": True}]}
    assert registry.warnings == ()


def test_wishes_about_affinity_reach_the_variants_which_keep_their_models(load: Load) -> None:
    flux = load("version: 1\nplugins: {flux: {affinity: {vram_gb: 40}}}\n").commands["flux"].command

    assert flux.affinity_of("dev").vram_gb == 40
    assert flux.affinity_of("dev").model_set != flux.affinity_of(None).model_set


def test_access_is_denied_unless_named() -> None:
    access = Access(allow_users=frozenset({1}), allow_chats=frozenset({-5}), admins=frozenset({9}))

    assert access.allows(1, 100)
    assert access.allows(2, -5)
    assert access.allows(9, None)
    assert not access.allows(2, 100)
    assert not access.allows(None, None)
    assert (access.is_admin(9), access.is_admin(1), access.is_admin(None)) == (True, False, False)
    assert Access(default="public").allows(2, 100)


def test_every_problem_is_named_at_once_in_the_order_of_the_file(load: Load) -> None:
    problems = problems_of(
        load,
        """\
        version: 2
        acess: {default: public}
        backends:
          - {name: a, url: "http://127.0.0.1:1", vram_gb: "24 GB"}
          - name: a
            url: http://127.0.0.1:1/
            vram: 24
        plugins:
          flux:
            limits: {per_user: 0}
        """,
    )

    assert [str(problem) for problem in problems] == [
        "plugin_registry.yaml:1: version: this veilrun reads version 1 of the file, not 2; write `version: 1`",
        "plugin_registry.yaml:2: acess: unknown key 'acess'; did you mean 'access'?",
        "plugin_registry.yaml:4: backends[0].vram_gb: '24 GB' is not a number; "
        "write it without quotes and units, like 24",
        "plugin_registry.yaml:5: backends[1].name: backends[0] has the same name already; give it a name of its own",
        "plugin_registry.yaml:5: backends[1]: 'vram_gb' is missing; "
        "add `vram_gb: …`; see docs/registry.md for a complete example",
        "plugin_registry.yaml:6: backends[1].url: backends[0] has the same url already; one entry for each server",
        "plugin_registry.yaml:7: backends[1].vram: unknown key 'vram'; did you mean 'vram_gb'?",
        "plugin_registry.yaml:10: plugins.flux.limits.per_user: 0 is out of range: "
        "it should be greater than or equal to 1",
    ]
    assert (problems[-1].line, problems[-1].column) == (10, 14)


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "the file is empty; write at least `version: 1`"),
        (b"# a comment\n", 1, "the file is empty"),
        (b"- version\n", 1, "the file must hold keys and values; like `version: 1`"),
        (b"hello\n", 1, "the file must hold keys and values"),
        (b"backends: []\n", 1, "'version' is missing; add `version: …`"),
        (b"version: 1\nplugins: \xff\n", 2, "not UTF-8 at byte 20; save it as UTF-8"),
        (b"version: 1\nplugins:\n\tflux: {}\n", 3, "a tab where YAML wants spaces; indent with spaces, never tabs"),
        (b"version: 1\naccess: {}\nversion: 1\n", 3, "'version' is there twice; keep one of them"),
        (b"version: 1\nplugins:\n  flux: {}\n  flux: {}\n", 4, "'flux' is there twice; keep one of them"),
        (b"version: 1\n---\nversion: 1\n", 2, "a second document begins here; take the line `---` out"),
        (b"version: [1\naccess: {}\n", 2, "not YAML: "),
        (b"version: 1\nplugins: @x\n", 2, "not YAML: found character '@'"),
        (b"version: 1\nplugins: " + b"[" * 500 + b"]" * 500, 1, "nested too deeply"),
        (b"version: 1.0\n", 1, "version: 1.0 is no whole number; write it without a point, like 1"),
        (
            b"version: 1\nplugins: *x\n",
            2,
            "found undefined alias 'x'; define it with & before, or put the value in quotes",
        ),
        (b"version: 1\nbackends: &b [*b]\n", 2, "backends[0]: it is empty; write keys and values, like {name: gpu-a, "),
        (b"version: " + b"9" * 5000, 1, "this is no number and no date that there is; correct it"),
        (
            b"version: 1\nplugins: {flux: {config: {day: 2026-99-99}}}\n",
            2,
            "this is no number and no date that there is",
        ),
        (b"version: 1\naccess:\n", 2, "access: it is empty; write keys and values, like {allow_users: [123456]}, or"),
        (b"version: 1\nplugins:\n", 2, "plugins: it is empty; write keys and values, like {flux: {enabled: true}}, or"),
        (
            b"version: 1\nplugins: {flux: {limits: }}\n",
            2,
            "flux.limits: it is empty; write keys and values, like {per_user",
        ),
        (b"version: 1\nplugins: {flux: {enabled: }}\n", 2, "plugins.flux.enabled: it is empty; write a value after it"),
        (b"version: true\n", 1, "version: True is not a number"),
        (b"version: '1'\n", 1, "version: '1' is not a number"),
        (b"version: 1\nbackends:\n", 2, "backends: it is empty; write a list, like [a, b], or leave"),
        (b"version: 1\nplugins: [flux]\n", 2, "plugins: ['flux'] does not fit here; write keys and values"),
        (
            b"version: 1\nplugins:\n  flux:\n",
            3,
            "plugins.flux: it is empty; write keys and values, like {enabled: true}",
        ),
        (b"version: 1\nplugins: {a b: {}}\n", 2, "'a b' is no name; use letters, digits, - _ and ."),
        (b"version: 1\nplugins: {flux: {enabled: yes}}\n", 2, "'yes' is neither true nor false; write true or false"),
        (b"version: 1\n7: x\n", 2, "unknown key '7'; allowed here: version, access, limits, backends, plugins"),
        (b"version: 1\naccess: {default: allow}\n", 2, "'allow' is not allowed; write 'deny' or 'public'"),
        (b"version: 1\naccess: {admins: 5}\n", 2, "5 does not fit here; write a list"),
        (b"version: 1\naccess:\n  allow_users:\n    - 5\n    - '6'\n", 5, "access.allow_users[1]: '6' is not a number"),
        (b"version: 1\nplugins:\n  flux:\n    limits: {runseconds: 5}\n", 4, "did you mean 'run_seconds'?"),
        (b"version: 1\nplugins:\n  flux:\n    affinity: {vram: 5}\n", 4, "did you mean 'vram_gb'?"),
        (b"version: 1\nplugins:\n  flux:\n    enable: true\n", 4, "did you mean 'enabled'?"),
        (b"version: 1\nplugins:\n  flux: {defaults: {step: 5}}\n", 3, "no parameter 'step'; did you mean 'steps'?"),
        (b"version: 1\nplugins:\n  flux: {defaults: {steps: 99}}\n", 3, "--steps must be from 1 to 50, not 99"),
        (b"version: 1\nplugins:\n  flux: {defaults: {size: 1000x1000}}\n", 3, "the nearest is 992x992"),
        (b"version: 1\nplugins:\n  flux: {defaults: {seed: 5}}\n", 3, "seed cannot have a default"),
        (b"version: 1\nplugins:\n  qwen: {defaults: {image: x}}\n", 3, "image cannot have a default"),
        (
            b"version: 1\nplugins:\n  sd3: {defaults: {negative: }}\n",
            3,
            "defaults.negative: it is empty; as in --negative <text>",
        ),
        (b"version: 1\nplugins:\n  sd3: {defaults: {negative: 5}}\n", 3, "negative must be text, not 5"),
    ],
)
def test_a_wrong_file_is_told_where_and_what_to_write_instead(load: Load, content: bytes, line: int, said: str) -> None:
    problems = problems_of(load, content)

    assert said in str(problems[0])
    assert str(problems[0]).startswith(f"plugin_registry.yaml:{line}: ")
    assert len(problems) == 1


@pytest.mark.parametrize(
    ("url", "transport", "said"),
    [
        ("127.0.0.1:8188", "direct", "this is no address of a server; write one like http://127.0.0.1:8188"),
        ("ftp://127.0.0.1", "direct", "this is no address"),
        ("http://", "direct", "this is no address"),
        ("http://a:0", "direct", "this is no address"),
        ("http://a:99999", "direct", "this is no address"),
        ("http://a:x", "direct", "this is no address"),
        ("http://[::1", "direct", "this is no address"),
        ("http://a/comfy", "direct", "write scheme, host and port only"),
        ("http://a?b=c", "direct", "write scheme, host and port only"),
        ("http://me:secret@a", "direct", "write scheme, host and port only"),
        ("http://a b", "direct", "write the host in a-z"),
        ("http://bücher.example", "direct", "write the host in a-z"),
        ("http://" + "a" * 56 + ".onion", "anon", "an .onion address belongs to Tor"),
        ("http://" + "a" * 56 + ".anon", "anon", "a: its checksum is wrong"),
        ("http://short.anon", "anon", "short names are not accepted"),
        ("http://127.0.0.1:8188", "anon", "a is no hidden service; write transport: direct"),
        ("http://127.0.0.1:8188", "tor", "'tor' is not allowed; write 'direct' or 'anon'"),
    ],
)
def test_a_backend_s_address_is_checked(load: Load, url: str, transport: str, said: str) -> None:
    (problem,) = problems_of(load, BACKEND.format(url=url, transport=transport))

    assert said in str(problem)
    assert problem.line == 3
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    "host", [HIDDEN, HIDDEN.upper(), f"{HIDDEN}.", HIDDEN.replace(".", "。"), HIDDEN.replace(".", "%2e"), "x.anyone"]
)
def test_a_hidden_service_is_never_direct_however_it_is_spelled(load: Load, host: str) -> None:
    (problem,) = problems_of(load, BACKEND.format(url=f"http://{host}:80", transport="direct"))

    assert problem.path.startswith("backends[0]")


@pytest.mark.parametrize(
    "url", ["http://[::1]:8188", "http://comfy_ui:8188", "https://gpu.example.org", "http://xn--bcher-kva.example"]
)
def test_ordinary_addresses_are_taken(load: Load, url: str) -> None:
    assert load(BACKEND.format(url=url, transport="direct")).backends[0].url == url


@pytest.mark.parametrize("number", [".nan", ".inf", "0", "-8", "true", "24GB"])
def test_vram_is_a_finite_number_above_0(load: Load, number: str) -> None:
    (problem,) = problems_of(load, f"version: 1\nbackends:\n  - {{name: a, url: 'http://a', vram_gb: {number}}}\n")

    assert problem.path == "backends[0].vram_gb"


@pytest.mark.parametrize("number", ["99", "9", "-1", "1.5", "'1'", "true", ""])
def test_lookahead_is_a_whole_number_from_0_to_8(load: Load, number: str) -> None:
    (problem,) = problems_of(
        load, f"version: 1\nbackends:\n  - {{name: a, url: 'http://a', vram_gb: 8,\n     lookahead: {number}}}\n"
    )

    assert (problem.path, problem.line, problem.column) == ("backends[0].lookahead", 4, 6)


@pytest.mark.parametrize(("said", "policy"), [("", "temp"), (", traces: none", "none"), (", traces: keep", "keep")])
def test_a_backend_says_what_a_job_may_leave_there(load: Load, said: str, policy: str) -> None:
    registry = load(f"version: 1\nbackends:\n  - {{name: a, url: 'http://a', vram_gb: 8{said}}}\n")

    assert registry.backends[0].traces == policy


@pytest.mark.parametrize("policy", ["some", "None", "false", ""])
def test_any_other_word_about_traces_is_refused(load: Load, policy: str) -> None:
    (problem,) = problems_of(
        load, f"version: 1\nbackends:\n  - {{name: a, url: 'http://a', vram_gb: 8, traces: {policy}}}\n"
    )

    assert problem.path == "backends[0].traces"


@pytest.mark.parametrize("limit", ["queue_seconds", "load_seconds", "run_seconds", "concurrency", "per_user"])
@pytest.mark.parametrize("number", ["0", "-1", ".nan", "5m", "true"])
def test_no_limit_is_0_or_no_number(load: Load, limit: str, number: str) -> None:
    (problem,) = problems_of(load, f"version: 1\nplugins:\n  flux:\n    limits:\n      {limit}: {number}\n")

    assert (problem.path, problem.line) == (f"plugins.flux.limits.{limit}", 5)


def test_aliases_of_aliases_do_not_fill_the_memory(load: Load) -> None:
    bomb = "version: 1\nplugins: {flux: {config: {a: &a [x, x, x, x, x, x, x, x, x, x]"
    for letter, before in zip("bcdefghij", "abcdefghi", strict=True):
        bomb += f", {letter}: &{letter} [{', '.join([f'*{before}'] * 10)}]"

    (problem,) = problems_of(load, bomb + "}}}\n")

    assert str(problem) == (
        "plugin_registry.yaml:1: its aliases unfold to more than 20000 values; write out what you mean"
    )


def test_two_spellings_of_one_address_are_one_server() -> None:
    assert origin_of("http://GPU:80/") == origin_of("http://gpu") == ("http", "gpu", 80)
    assert origin_of("https://gpu") == ("https", "gpu", 443)
    assert origin_of("http://gpu:8188") != origin_of("http://gpu:8189")
    assert origin_of(None) is origin_of("gpu") is None


def test_anchors_and_a_byte_order_mark_are_fine(load: Load) -> None:
    registry = load(
        b"\xef\xbb\xbfversion: 1\nplugins: {flux: &on {enabled: &yes true}, qwen: {<<: *on}, sd3: {enabled: *yes}}\n"
    )

    assert list(registry.commands) == ["flux", "qwen", "sd3"]


def test_a_missing_file_says_how_to_name_another(tmp_path: Path) -> None:
    with pytest.raises(RegistryInvalid, match=r"nope\.yaml:1: the file is not there; create it, or point VEILRUN_REG"):
        load_registry(tmp_path / "nope.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RegistryInvalid, match="cannot be read"):
        load_registry(tmp_path)


def test_what_is_hardly_meant_is_a_warning_with_its_line(load: Load) -> None:
    registry = load("""\
        version: 1
        access: {default: deny}
        backends:
          - {name: gpu-a, url: "http://127.0.0.1:1", device: RTX 4090, vram_gb: 24}
        plugins:
          flux: {affinity: {prefer: [RTX 4090, gpu-a, gpu-b]}}
          flx: {}
          acme: {enabled: false}
    """)

    assert [str(warning) for warning in registry.warnings] == [
        "plugin_registry.yaml:2: access: nobody may use the bot; write your user id into allow_users, "
        "or default: public",
        "plugin_registry.yaml:6: plugins.flux.affinity.prefer[2]: no backend or device is called 'gpu-b'; "
        "did you mean 'gpu-a'?",
        "plugin_registry.yaml:7: plugins.flx: no plugin 'flx' is installed here; did you mean 'flux'?",
    ]
    assert "flux" in registry.commands


def test_without_a_backend_there_is_a_warning(load: Load) -> None:
    assert "there is no backend, so no command can run" in {warning.message for warning in load("version: 1").warnings}


def test_what_a_backend_is_said_of_commands_and_nodes_that_nobody_has_is_a_warning(load: Load) -> None:
    registry = load("""\
        version: 1
        access: {default: public}
        backends:
          - name: gpu-a
            url: "http://127.0.0.1:1"
            vram_gb: 24
            pin: [flux, flux --dev, flux --def, qwenn]
            limits: {flux: 2, wann: 1}
            idle_minutes: 30
            overrides:
              UNETLoder: {class_type: UNETLoaderMultiGPU}
              VAELoader: {class_type: VAELoaderMultiGPU}
        plugins: {flux: {}, qwen: {}, wan: {}}
    """)

    assert [str(warning) for warning in registry.warnings] == [
        "plugin_registry.yaml:7: backends[0].pin[2]: no enabled plugin has a command 'flux --def'; "
        "did you mean 'flux --dev'?",
        "plugin_registry.yaml:7: backends[0].pin[3]: no enabled plugin has a command 'qwenn'; did you mean 'qwen'?",
        "plugin_registry.yaml:8: backends[0].limits.wann: no enabled plugin has a command 'wann'; did you mean 'wan'?",
        "plugin_registry.yaml:9: backends[0].idle_minutes: idle_minutes says nothing beside pin: what is pinned is "
        "never let go; take one of them out",
        "plugin_registry.yaml:11: backends[0].overrides.UNETLoder: no workflow has a node of class 'UNETLoder'; "
        "did you mean 'UNETLoader'?",
    ]
