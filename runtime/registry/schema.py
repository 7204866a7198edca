"""The shape of plugin_registry.yaml. docs/registry.md describes every key; a test keeps the two in step."""

import re
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, field_validator, model_validator

from runtime.anon.address import AddressInvalid, HiddenAddress
from runtime.transport.address import FOREIGN_SUFFIXES, HIDDEN_SUFFIXES

VERSION = 1
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|[0-9a-f:.]+(%[a-z0-9]+)?")  # a name, or an IPv6 address

Origin: TypeAlias = tuple[str, str, int]
"""(scheme, host, port): two addresses with the same origin lead to the same server."""

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


def _simple(value: object) -> object:
    if not isinstance(value, str | int | float | bool):
        raise ValueError(f"{value!r} is neither text nor a number; write one, or true or false")
    return value


Simple = Annotated[str | int | float | bool, PlainValidator(_simple)]


class Section(BaseModel):
    """A part of the file: unknown keys are refused, numbers must be numbers."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class AccessSection(Section):
    """Who may use the bot."""

    default: Literal["deny", "public"] = "deny"
    allow_users: list[int] = []
    allow_chats: list[int] = []
    admins: list[int] = []


class OverrideSection(Section):
    """What a node class is exchanged for on one backend, and inputs that the new node gets as well."""

    class_type: str = Field(min_length=1)
    inputs: dict[str, Simple] = {}


class BackendSection(Section):
    """One ComfyUI server."""

    name: Word
    url: str
    transport: Literal["direct", "anon"] = "direct"
    device: str = ""
    vram_gb: float = Field(gt=0)
    labels: list[Word] = []
    lookahead: int = Field(default=1, ge=0, le=8)
    client_key_file: str | None = None
    isolation: Literal["backend", "user"] = "backend"
    traces: Literal["none", "temp", "keep"] = "temp"
    pin: list[str] = []
    limits: dict[Word, Annotated[int, Field(ge=1)]] = {}
    idle_minutes: float | None = Field(default=None, gt=0)
    overrides: dict[str, OverrideSection] = {}

    @field_validator("url")
    @classmethod
    def _is_an_origin(cls, url: str) -> str:
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("this is no address of a server; write one like http://127.0.0.1:8188")
        if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
            raise ValueError(
                "this is more than a server's address; write scheme, host and port only, like http://127.0.0.1:8188"
            )
        # no other spelling of a host gets through: "x.anon." or "x。anon" would pass for an ordinary name
        if not _HOST.fullmatch(parts.hostname):
            raise ValueError(
                "the host is spelled in an unusual way;"
                " write the host in a-z, 0-9, - and . without a dot at its end (xn--… for other letters)"
            )
        if parts.hostname.endswith(FOREIGN_SUFFIXES):
            raise ValueError("an .onion address belongs to Tor; expose the server with `veilrun anon expose` instead")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _hidden_names_need_anon(self) -> "BackendSection":
        host = urlsplit(self.url).hostname or ""
        if self.transport == "direct" and host.endswith(HIDDEN_SUFFIXES):
            raise ValueError(f"{self.name} is a hidden service; write transport: anon, it is never dialled directly")
        if self.transport == "anon" and not host.endswith(HIDDEN_SUFFIXES):
            raise ValueError(f"{self.name} is no hidden service; write transport: direct, or its .anon address")
        if self.transport == "anon":
            try:
                HiddenAddress.parse(host)
            except AddressInvalid as error:
                words = str(error).replace("; ", ", ")
                raise ValueError(f"{self.name}: {words}; copy what `veilrun anon expose` printed") from None
        if self.transport == "direct" and (self.client_key_file is not None or self.isolation == "user"):
            raise ValueError(f"{self.name} is dialled directly; client_key_file and isolation are for transport: anon")
        return self


class LimitsSection(Section):
    """Overrides of a command's own limits."""

    queue_seconds: float | None = Field(default=None, gt=0)
    load_seconds: float | None = Field(default=None, gt=0)
    run_seconds: float | None = Field(default=None, gt=0)
    concurrency: int | None = Field(default=None, ge=1)
    per_user: int | None = Field(default=None, ge=1)
    max_attempts: int | None = Field(default=None, ge=1, le=20)
    unique: bool | None = None


class AffinitySection(Section):
    """Overrides of a command's own affinity."""

    vram_gb: float | None = Field(default=None, gt=0)
    prefer: list[str] | None = None
    labels: list[Word] | None = None


class PluginSection(Section):
    """One plugin, by the name of its entry point."""

    enabled: bool = True
    package: str | None = None
    pin: str | None = Field(default=None, min_length=1)
    limits: LimitsSection = LimitsSection()
    affinity: AffinitySection = AffinitySection()
    defaults: dict[str, Any] = {}
    config: dict[str, Any] = {}
    priority: int = Field(default=0, ge=-10, le=10)


class QueueSection(Section):
    """Bounds of the whole deployment; None means no bound."""

    queued: int | None = Field(default=1000, ge=1)
    queued_per_user: int | None = Field(default=20, ge=1)
    running_per_user: int | None = Field(default=None, ge=1)


class RegistryFile(Section):
    """The whole file."""

    version: int
    access: AccessSection = AccessSection()
    limits: QueueSection = QueueSection()
    backends: list[BackendSection] = []
    plugins: dict[Word, PluginSection] = {}

    @field_validator("version")
    @classmethod
    def _is_known(cls, version: int) -> int:
        if version != VERSION:
            raise ValueError(f"this veilrun reads version {VERSION} of the file, not {version}; write `version: 1`")
        return version


def origin_of(url: object) -> Origin | None:
    """Where `url` leads, or None if it is no address."""
    parts = _split(url) if isinstance(url, str) else None
    if parts is None or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError when it is no port
    except ValueError:
        return None
    return parts


def known_keys(path: tuple[int | str, ...]) -> tuple[str, ...]:
    """The keys that may stand at `path` of the file, for suggestions."""
    model: type[Section] | None = RegistryFile
    sections: dict[str, type[Section]] = {"access": AccessSection, "limits": LimitsSection, "affinity": AffinitySection}
    if path == ("limits",):
        return tuple(QueueSection.model_fields)
    if path[:1] == ("backends",) and len(path) > 1:
        model = BackendSection
    elif path[:1] == ("plugins",) and len(path) == 2:
        model = PluginSection
    elif path:
        model = sections.get(str(path[-1]))
    return tuple(model.model_fields) if model else ()
