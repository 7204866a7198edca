"""What the doctor says about settings, and that it never says a secret."""

import pytest

from runtime.doctor import Line, diagnose
from runtime.settings import Settings, read_settings

TOKEN = "123456789:AAHfakefakefakefakefakefakefakefakefa"
STRONG = "3f9c1b7e5a2d8046c1e97b30f5a8d264e0b19c73a5d82f46"


async def said(environment: dict[str, str] | None = None, **given: object) -> list[Line]:
    found = diagnose(read_settings(**given), environment=environment or {}, checks=())
    return [line async for line in found if line.subject == "settings"]


def test_settings_are_named_as_the_operator_writes_them(settings: Settings) -> None:
    from runtime.doctor.settings import variables

    assert {"TELEGRAM_BOT_TOKEN", "DATABASE_URL", "VEILRUN_PUBLIC_URL"} <= variables()


async def test_what_was_read_is_listed_by_name_without_values() -> None:
    found = await said({"TELEGRAM_BOT_TOKEN": TOKEN, "PATH": "/bin"}, telegram_bot_token=TOKEN)

    assert found[0].text == "from the environment: TELEGRAM_BOT_TOKEN"


async def test_a_misspelt_setting_is_told_with_the_right_name() -> None:
    found = await said({"VEILRUN_PUBLICURL": "https://bot.example.org", "TELEGRAM_TOKEN": TOKEN, "VEILRUN_TRACE": "1"})

    assert [(line.text.split()[0], line.cure) for line in found if "no effect" in line.text] == [
        ("TELEGRAM_TOKEN", "did you mean TELEGRAM_BOT_TOKEN?"),
        ("VEILRUN_PUBLICURL", "did you mean VEILRUN_PUBLIC_URL?"),
    ]


@pytest.mark.parametrize(
    ("given", "level", "word"),
    [
        ({}, "warning", "TELEGRAM_BOT_TOKEN is not set"),
        ({"telegram_webhook_secret": "geheim"}, "fault", "can be guessed"),
        ({"telegram_webhook_secret": "a" * 64}, "fault", "can be guessed"),
        ({"telegram_webhook_secret": "Xk29vbQwe71ZpLm4aTsR"}, "warning", "can be guessed"),
        ({"telegram_api_url": "http://bots.example.org:8081"}, "fault", "in the clear"),
        ({"telegram_api_url": "nowhere"}, "fault", "no address"),
        ({"public_url": "http://bot.example.org"}, "fault", "https:// only"),
        ({"public_url": "https://bot.example.org:8080"}, "fault", "443, 80, 88, 8443 only"),
        ({"public_url": "https://192.168.1.2"}, "fault", "cannot reach"),
        ({"public_url": "https://localhost"}, "fault", "cannot reach"),
        ({"public_url": "https://bot.example.org/telegram/webhook"}, "fault", "is added to it"),
        ({"public_url": "https://bot.example.org?a=b"}, "fault", "more than"),
        ({"public_url": "bot.example.org"}, "fault", "no address"),
        ({"public_url": "https://bot.example.org:port"}, "fault", "no address"),
        ({"lease_seconds": 2.0}, "warning", "may lose jobs"),
        ({"sweep_seconds": 60.0}, "warning", "found late"),
        ({"retention_hours": 0.1}, "warning", "RETENTION"),
    ],
)
async def test_a_setting_that_does_harm_is_told_with_a_cure(given: dict[str, object], level: str, word: str) -> None:
    found = await said(**({"telegram_bot_token": TOKEN} | given if given else {}))
    (line,) = [line for line in found if word in line.text]

    assert line.level == level
    assert line.cure


async def test_the_default_that_is_advised_is_the_default() -> None:
    (line,) = [line for line in await said(lease_seconds=2.0, sweep_seconds=1.0) if "may lose jobs" in line.text]

    assert line.cure == f"take {Settings.model_fields['lease_seconds'].default:g}, the default"


@pytest.mark.parametrize(
    "given",
    [
        {"public_url": "https://bot.example.org"},
        {"public_url": "https://bot.example.org:8443/veilrun/"},
        {"public_url": "http://10.0.0.2:8080", "telegram_api_url": "http://127.0.0.1:8081"},
        {"telegram_webhook_secret": STRONG, "host": "0.0.0.0"},
    ],
)
async def test_settings_that_fit_are_ok(given: dict[str, object]) -> None:
    assert {line.level for line in await said(telegram_bot_token=TOKEN, **given)} == {"ok"}


async def test_no_line_holds_a_secret() -> None:
    secrets = {"telegram_bot_token": TOKEN, "telegram_webhook_secret": "geheim", "broker_url": "redis://:hush@[::1]:1"}
    settings = read_settings(
        **secrets, telegram_api_url="http://127.0.0.1:1", database_url="postgresql://a:psst@[::1]:1/b"
    )
    text = repr([line async for line in diagnose(settings, environment={})])

    assert not [secret for secret in (TOKEN, TOKEN[10:], "geheim", "hush", "psst") if secret in text]
