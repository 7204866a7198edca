"""Addresses that must not be opened: neither handed to a resolver nor to the proxy."""

from runtime.comfyui import BackendMisconfigured
from runtime.leaks.scenarios.scenario import NO_NAMES, Scenario
from runtime.leaks.stage import NEWER_SERVICE, SERVICE, Stage

LABEL, NEWER_LABEL = SERVICE.partition(".")[0], NEWER_SERVICE.partition(".")[0]

WRONG_FOR_ANON = {
    "a wrong checksum": f"http://{'b' if LABEL[0] == 'a' else 'a'}{LABEL[1:]}.anon",
    "a suffix of the daemon's next series": f"http://{NEWER_SERVICE}",
    "a suffix changed by hand": f"http://{NEWER_LABEL}.anon",
    "a short name": "http://comfy.anon",
    "a name below the service": f"http://www.{SERVICE}",
    "the suffix of another network": f"http://{LABEL}.onion",
    "a dot at the end": f"http://{SERVICE}.",
    "credentials": f"http://user:password@{SERVICE}",
    "an escape": f"http://{LABEL}%2eanon",
    "a clearnet name": "http://comfy.example",
    "localhost": "http://localhost:8188",
    "a loopback IP": "http://127.0.0.1:8188",
    "an IP": "http://198.51.100.80:8188",
    "an IP as one number": "http://3325256784:8188",
    "an IPv6 address": "http://[2001:db8:1::80]:8188",
}

HIDDEN_SPELLINGS = {
    "as it is": f"http://{SERVICE}",
    "of the other series": f"http://{NEWER_SERVICE}:8188",
    "in upper case": f"http://{LABEL.upper()}.ANON",
    "with a dot at the end": f"http://{SERVICE}.",
    "with dots at the end": f"http://{SERVICE}..",
    "with an escaped dot": f"http://{LABEL}%2eanon",
    "with an escaped letter": f"http://{LABEL}.an%6fn",
    "with an escape twice over": f"http://{LABEL}%252eanon",
    "with a null at the end": f"http://{SERVICE}%00",
    "with a space at the end": f"http://{SERVICE} ",
    "with a line break": f"http://{LABEL}.an\non",
    "with a full-width dot": f"http://{LABEL}．anon",
    "with an ideographic dot": f"http://{LABEL}。anon",
    "with full-width letters": f"http://{LABEL}.ａｎｏｎ",
    "with a soft hyphen": f"http://{LABEL}.an\u00adon",
    "with credentials": f"http://user:password@{SERVICE}",
    "behind a backslash": f"http://127.0.0.1\\@{SERVICE}",
    "short": "http://comfy.anyone",
}


def _refused_by_anon(what: str, url: str) -> Scenario:
    async def play(stage: Stage) -> None:
        await stage.comfyui()
        await stage.expect_from_all(BackendMisconfigured, stage.client(url))

    return Scenario(f"transport anon, address with {what}", play, NO_NAMES)


def _refused_by_direct(what: str, url: str) -> Scenario:
    async def play(stage: Stage) -> None:
        await stage.expect_from_all(BackendMisconfigured, stage.client(url, "direct"))

    return Scenario(f"transport direct, hidden service {what}", play, NO_NAMES)


SCENARIOS = (
    *(_refused_by_anon(what, url) for what, url in WRONG_FOR_ANON.items()),
    *(_refused_by_direct(what, url) for what, url in HIDDEN_SPELLINGS.items()),
)
