"""What the operator sets: secrets stay secret, mistakes are named."""

import re

import pytest

from runtime.settings import SettingsInvalid, read_settings

TOKEN = "123456789:AAEabcdefghijklmnopqrstuvwxyz012345"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TELEGRAM_BOT_TOKEN", "TELEGRAM_WEBHOOK_SECRET", "DATABASE_URL", "BROKER_URL", "VEILRUN_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("TELEGRAM_WEBHOOK_SECRET", "hush-hush")
    monkeypatch.setenv("DATABASE_URL", "postgresql://bot:hush-hush@db/veilrun")
    monkeypatch.setenv("BROKER_URL", "amqp://bot:hush-hush@queue")
    settings = read_settings()
    assert (settings.bot_token, settings.webhook_secret, settings.bot_id) == (TOKEN, "hush-hush", 123456789)

    shown = f"{settings!r} {settings}"

    assert "hush-hush" not in shown
    assert TOKEN.partition(":")[2] not in shown


def test_the_derived_webhook_secret_is_stable_and_one_that_telegram_takes() -> None:
    first, second = read_settings(telegram_bot_token=TOKEN), read_settings(telegram_bot_token=TOKEN)
    other = read_settings(telegram_bot_token=TOKEN[:-1] + "9")

    assert first.webhook_secret == second.webhook_secret != other.webhook_secret
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,256}", first.webhook_secret)
    assert TOKEN.partition(":")[2] not in first.webhook_secret


def test_a_token_is_asked_for_only_when_needed() -> None:
    settings = read_settings()

    with pytest.raises(SettingsInvalid, match="TELEGRAM_BOT_TOKEN is not set: put the token that BotFather"):
        _ = settings.bot_token


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("TELEGRAM_BOT_TOKEN", "123:too-short", "TELEGRAM_BOT_TOKEN is not a bot token; BotFather gives one like"),
        ("TELEGRAM_WEBHOOK_SECRET", "with space", "TELEGRAM_WEBHOOK_SECRET must be 1 to 256 of A-Z a-z 0-9 _ -"),
        ("DATABASE_URL", "mysql://bot:hush@db/x", "DATABASE_URL must be a PostgreSQL address like postgresql://"),
        (
            "DATABASE_URL",
            "postgresql://bot:hu@sh@db/x",
            "DATABASE_URL has an @ in its user or password; write it as %40",
        ),
        ("DATABASE_URL", "host=db password=hush", "DATABASE_URL must be a PostgreSQL address like postgresql://"),
        ("VEILRUN_PORT", "eighty", "VEILRUN_PORT must be a valid integer"),
        ("VEILRUN_PORT", "70000", "VEILRUN_PORT must be less than or equal to 65535"),
        ("VEILRUN_LOG_LEVEL", "loud", "VEILRUN_LOG_LEVEL must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_mistake_names_the_variable_and_not_the_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsInvalid) as caught:
        read_settings()

    assert str(caught.value).startswith(complaint)
    assert value not in str(caught.value)


def test_all_mistakes_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEILRUN_PORT", "eighty")
    monkeypatch.setenv("VEILRUN_WORKER_THREADS", "0")

    with pytest.raises(SettingsInvalid, match=r"VEILRUN_PORT .*; VEILRUN_WORKER_THREADS "):
        read_settings()


def test_an_empty_address_means_the_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("VEILRUN_LOG_LEVEL", "DEBUG")

    assert (read_settings().database_url, read_settings().log_level) == (None, "debug")
