"""What the operator sets in the environment. docs/operator.md lists every setting; a test keeps the two in step."""

import hmac
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from runtime.api import VeilrunError

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{30,64}")
_DATABASE_SHAPE = "must be a PostgreSQL address like postgresql://user:password@host/name"
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")  # Bot API, setWebhook.secret_token


def _host_and_port(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("must be host:port, like 127.0.0.1:9050")
    return host.strip("[]"), int(port)


HostPort = Annotated[tuple[str, int], NoDecode, BeforeValidator(_host_and_port)]


class SettingsInvalid(VeilrunError):
    """A setting is missing or malformed. The text names the variable and what it should be."""


def _named(*names: str) -> Any:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """All settings, read from the environment once at start. Secrets do not show in `repr`."""

    model_config = SettingsConfigDict(env_prefix="VEILRUN_", extra="ignore", populate_by_name=True)

    telegram_bot_token: SecretStr | None = Field(None, validation_alias=_named("TELEGRAM_BOT_TOKEN"))
    telegram_webhook_secret: SecretStr | None = Field(None, validation_alias=_named("TELEGRAM_WEBHOOK_SECRET"))
    telegram_api_url: str = Field("https://api.telegram.org", validation_alias=_named("TELEGRAM_API_URL"))
    telegram_via: Literal["direct", "anon"] = Field("direct", validation_alias=_named("TELEGRAM_VIA"))
    database_url: str | None = Field(None, repr=False, validation_alias=_named("DATABASE_URL"))
    broker_url: str = Field("postgresql", repr=False, validation_alias=_named("BROKER_URL"))
    registry: Path = Path("plugin_registry.yaml")
    strict: bool = False
    plugins_dir: Path | None = None
    trace_hooks: bool = False
    state_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_state_dir("veilrun")))
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    public_url: str | None = None
    console: bool = True
    worker_processes: Annotated[int, Field(ge=1, le=64)] = 1
    worker_threads: Annotated[int, Field(ge=1, le=512)] = 32
    lease_seconds: Annotated[float, Field(gt=0)] = 8.0
    sweep_seconds: Annotated[float, Field(gt=0)] = 2.0
    retention_hours: Annotated[float, Field(gt=0)] = 24.0
    anon_binary: Path | None = None
    anon_accept_terms: bool = False
    anon_socks: HostPort | None = None
    anon_control: HostPort | None = None
    anon_cookie: Path | None = None
    anon_extra_rc: Path | None = None
    callbacks: Literal["off", "public", "any"] | None = None
    http_body_mb: Annotated[int, Field(ge=1, le=1024)] = 32
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("telegram_bot_token")
    @classmethod
    def _token_shape(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not _TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("is not a bot token; BotFather gives one like 123456789:AAH…")
        return token

    @field_validator("telegram_webhook_secret")
    @classmethod
    def _secret_shape(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("must be 1 to 256 of A-Z a-z 0-9 _ -")
        return secret

    @field_validator("database_url")
    @classmethod
    def _database_shape(cls, url: str | None) -> str | None:
        if not url:
            return None
        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            raise ValueError(_DATABASE_SHAPE) from None
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError(_DATABASE_SHAPE)
        if url.partition("://")[2].partition("?")[0].count("@") > 1:  # what follows the first would pass for the host
            raise ValueError("has an @ in its user or password; write it as %40 there")
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower_case(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level

    @property
    def callbacks_to(self) -> Literal["off", "public", "any"]:
        """Where result webhooks may go. They go out directly: where the Bot API is asked through the Anyone network, so
        that nobody learns this machine's address, there are none unless it is said that there shall be."""
        return self.callbacks or ("off" if self.telegram_via == "anon" else "public")

    @property
    def anon_dir(self) -> Path:
        """Where the anon daemon of this machine keeps its data, and what it tells the other processes."""
        return self.state_dir / "anon"

    @property
    def workers_dir(self) -> Path:
        """Where the worker processes of this machine say that they live."""
        return self.state_dir / "workers"

    @cached_property
    def bot_token(self) -> str:
        """The bot's token. Raises: SettingsInvalid if it is not set."""
        if self.telegram_bot_token is None:
            raise SettingsInvalid("TELEGRAM_BOT_TOKEN is not set: put the token that BotFather gave you there")
        return self.telegram_bot_token.get_secret_value()

    @cached_property
    def bot_id(self) -> int:
        """The bot's user id: the digits before the colon of its token."""
        return int(self.bot_token.partition(":")[0])

    @cached_property
    def webhook_secret(self) -> str:
        """What Telegram sends in X-Telegram-Bot-Api-Secret-Token: as set, or derived from the bot's token.

        The derived one is the same on every machine of a deployment and does not reveal the token.
        """
        if self.telegram_webhook_secret is not None:
            return self.telegram_webhook_secret.get_secret_value()
        return hmac.digest(self.bot_token.encode(), b"veilrun webhook secret", "sha256").hex()


def read_settings(**overrides: Any) -> Settings:
    """The settings of this process. Raises: SettingsInvalid, naming each variable that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False)
        lines = [f"{_variable(one['loc'])} {_sentence(one['msg'])}" for one in problems]
        raise SettingsInvalid("; ".join(lines)) from None


def _sentence(message: str) -> str:
    """Pydantic's words as the end of a sentence that starts with the variable's name."""
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return message[:1].lower() + message[1:]


def _variable(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "settings"
    return name if name.isupper() else f"VEILRUN_{name.upper()}"
