"""`veilrun tokens`: who may come over HTTP."""

import asyncio
import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from runtime.cli.tokens import app
from tests.conftest import Database
from tests.functions.service import REGISTRY, served


@pytest.fixture
def veilrun(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a command with the test's database and registry."""
    path = tmp_path / "plugin_registry.yaml"
    path.write_text(REGISTRY, encoding="utf-8")
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("VEILRUN_REGISTRY", str(path))

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, words)

    return run


def test_a_token_is_made_shown_once_listed_and_revoked(veilrun) -> None:
    limits = ("--per-minute", "0", "--open-jobs", "4", "--days", "90")
    made = json.loads(
        veilrun("create", "shop", "--scope", "read", "--scope", "invoke", "--command", "f", *limits, "--json").stdout
    )
    listed = veilrun("list", "--json").stdout
    (row,) = json.loads(listed)

    assert made["token"].startswith("veilrun_")
    assert made["signing_secret"].startswith("whsec_")
    assert made["token"] not in listed
    assert "hash" not in row
    assert (row["name"], row["scopes"], row["commands"]) == ("shop", ["read", "invoke"], ["flux"])
    assert (row["per_minute"], row["open_jobs"], row["per_day"], row["state"]) == (None, 4, 1000, "valid")
    assert "revoked" in veilrun("revoke", str(made["id"])).stdout
    assert "revoked" in veilrun("list").stdout
    assert "no valid token" in str(veilrun("revoke", str(made["id"])).exception)


def test_what_makes_no_token_is_refused(veilrun) -> None:
    assert "'write' is none of invoke, read, cancel" in veilrun("create", "shop", "--scope", "write").stderr
    assert "there is no command 'flix'" in veilrun("create", "shop", "--command", "flix").stderr
    assert "no tokens" in veilrun("list").stdout


async def test_a_token_of_the_command_line_opens_the_door(veilrun, database: Database, tmp_path: Path) -> None:
    shown = await asyncio.to_thread(veilrun, "create", "shop")
    token = next(word for word in shown.stdout.split() if word.startswith("veilrun_"))

    async with served(database.dsn, tmp_path) as service:
        assert (await service.get("/functions", token)).status == 200


def test_the_log_of_result_webhooks_shows_hosts_only(veilrun, database: Database) -> None:
    token_id = json.loads(veilrun("create", "shop", "--json").stdout)["id"]
    with psycopg.connect(database.dsn) as connection:
        connection.execute(
            """with command as (insert into commands (name, aliases, plugin, plugin_version, summary, workflow_digest,
                       workflow) values ('flux', '{}', 'flux', '1', 's', 'd', '{}') returning id),
                   job as (insert into jobs (command_id, command, arguments, token_id)
                       select id, 'flux', '{}', %s from command returning id),
                   callback as (insert into callbacks (job_id, token_id, message_id, url, state)
                       select id, %s, 'msg_1', 'https://example.org/hook?key=secret', 'failed' from job returning id)
               insert into callback_tries (callback_id, number, status, error, seconds)
               select id, number, 500, null, 0.25 from callback, generate_series(1, 2) as number""",
            (token_id, token_id),
        )

    shown, narrowed = veilrun("callbacks").stdout, veilrun("callbacks", "--state", "open").stdout
    listed = json.loads(veilrun("callbacks", "--json", "--limit", "1").stdout)

    assert "example.org" in shown
    assert "500" in shown
    assert "secret" not in shown
    assert "no callbacks" in narrowed
    assert [(one["host"], one["number"]) for one in listed] == [("example.org", 2)]
    assert "secret" not in str(listed)
