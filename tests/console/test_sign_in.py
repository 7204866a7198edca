"""A link signs in one browser, once; the session it begins ends in every way that it should."""

import asyncio
from pathlib import Path

import pytest

from db import console_access
from runtime.console.keys import IDLE_SECONDS, digest
from runtime.console.link import ConsoleOff, NoAddress, address_of
from runtime.settings import Settings
from tests.cli.conftest import Shell, shell
from tests.console.stage import Operator, Stage, operator, staged

__all__ = ["shell"]


def secret_of(link: str) -> str:
    return link.rpartition("/")[2]


async def test_a_link_signs_in_once(stage: Stage, stranger: Operator) -> None:
    link = await stage.link()

    first = await stranger.send(link, ())
    page = await stranger.get("/")
    again = await stranger.send(link, ())

    assert (first.status, first.headers["Location"], page.status) == (303, "../", 200)
    assert again.status == 403
    assert "veilrun console" in stranger.page


async def test_a_link_that_is_only_looked_at_still_signs_in(stage: Stage, stranger: Operator) -> None:
    link = await stage.link()

    for _ in range(3):  # as chats and mail scanners do
        preview = await stranger.get(link)
        assert preview.status == 200
        assert "Set-Cookie" not in preview.headers

    assert "Sign in</button>" in stranger.page
    assert (await stranger.send(link, ())).status == 303


async def test_what_is_no_link_does_not_sign_in(stranger: Operator) -> None:
    for wrong in ("A" * 43, "short", "%00", "A" * 500):
        answer = await stranger.send(f"/sign-in/{wrong}", ())
        assert answer.status == 403, wrong
        assert "Set-Cookie" not in answer.headers


async def test_a_link_is_void_after_its_time(stage: Stage, stranger: Operator) -> None:
    link = await stage.link()
    await stage.execute("update console_links set expires_at = now() - interval '1 second'")

    assert (await stranger.send(link, ())).status == 403


async def test_the_database_holds_nothing_that_signs_in(stage: Stage, stranger: Operator) -> None:
    unused, used = await stage.link(), await stage.link()
    signed_in = await stranger.send(used, ())
    secret = signed_in.cookies["veilrun-console"].value

    async with stage.pool.connection() as connection:
        rows = await (await connection.execute("select digest, expires_at::text from console_links")).fetchall()
        rows += await (await connection.execute("select digest, expires_at::text from console_sessions")).fetchall()

    assert {bytes(row[0]) for row in rows} == {digest(secret_of(unused)), digest(secret)}
    assert secret not in repr(rows)
    assert secret_of(unused) not in repr(rows)


async def test_the_cookie_is_for_the_console_alone_and_for_no_script(stage: Stage, stranger: Operator) -> None:
    cookie = (await stranger.send(await stage.link(), ())).headers["Set-Cookie"]

    assert cookie.startswith("veilrun-console=")
    for part in ("HttpOnly", "SameSite=lax", "Path=/console", "Max-Age=43200"):
        assert part in cookie
    assert "Secure" not in cookie  # on loopback there is no https


@pytest.mark.parametrize("host", ["bot.example.org", "127.0.0.1:8080"])  # proxies pass the name on, or do not
async def test_behind_a_public_address_the_cookie_is_secure(database, host: str) -> None:
    async with (
        staged(database.dsn, public_url="https://bot.example.org") as stage,
        operator(stage, is_signed_in=False) as stranger,
    ):
        answer = await stranger.send(await stage.link(), (), Host=host, Origin="https://bot.example.org")

    cookie = answer.headers["Set-Cookie"]
    assert answer.status == 303
    assert cookie.startswith("__Host-veilrun-console=")
    for part in ("Secure", "HttpOnly", "Path=/;", "SameSite=lax"):
        assert part in cookie


async def test_the_public_name_by_plain_http_signs_nobody_in(database) -> None:
    async with (
        staged(database.dsn, public_url="https://bot.example.org") as stage,
        operator(stage, is_signed_in=False) as stranger,
    ):
        link = await stage.link()
        answer = await stranger.send(link, (), Host="bot.example.org", Origin="http://bot.example.org")

    assert answer.status == 403


async def test_a_session_holds_in_every_web_process(database, stage: Stage, somebody: Operator) -> None:
    async with staged(database.dsn) as other:
        assert (await somebody.get(f"{other.console}/queue")).status == 200


async def test_a_session_ends_with_its_longest_time_when_idle_and_when_revoked(stage: Stage) -> None:
    await stage.fill()
    for passed in (
        "update console_sessions set expires_at = now() - interval '1 second'",
        f"update console_sessions set seen_at = now() - interval '{IDLE_SECONDS + 1} seconds'",
        "delete from console_sessions",
    ):
        async with operator(stage) as somebody:
            await stage.execute(passed)
            answer = await somebody.get("/backends")

            assert answer.status == 401, passed
            assert "gpu-a" not in somebody.page
            assert "veilrun console" in somebody.page


async def test_a_session_in_use_does_not_become_idle(stage: Stage, somebody: Operator) -> None:
    await stage.execute("update console_sessions set seen_at = now() - interval '1 hour'")
    await somebody.get("/")

    async with stage.pool.connection() as connection:
        row = await (
            await connection.execute("select now() - seen_at < interval '5 s' from console_sessions")
        ).fetchone()
    assert row == (True,)


async def test_signing_out_ends_the_session_and_says_so(stage: Stage, somebody: Operator) -> None:
    secret = await stage.session()

    answer = await somebody.post("/sign-out")

    assert answer.status == 303
    assert 'veilrun-console=""' in answer.headers["Set-Cookie"]
    assert "You are signed out." in somebody.page
    assert (await somebody.get("/queue")).status == 401
    async with stage.pool.connection() as connection:  # nobody else is
        assert await console_access.look(connection, digest(secret), idle_seconds=60)


async def test_whoever_tries_links_keeps_no_operator_out(stage: Stage, stranger: Operator) -> None:
    tried = [f"/sign-in/{number:043}" for number in range(40)] + ["/sign-in/nonsense"]
    answers = await asyncio.gather(*(stranger.send(path, ()) for path in tried))
    of_operator = await stranger.send(await stage.link(), ())

    assert {answer.status for answer in answers} == {403}
    assert of_operator.status == 303


async def test_the_command_line_prints_a_link_and_takes_every_session_back(
    stage: Stage, somebody: Operator, shell: Shell, tmp_path: Path
) -> None:
    port = stage.url.rpartition(":")[2]
    shell.environment.update(DATABASE_URL=stage.dsn, VEILRUN_PORT=port, VEILRUN_PUBLIC_URL="https://bot.example.org/")

    local = await shell.run("console", "--local")
    async with operator(stage, is_signed_in=False) as other:
        assert (await other.send(local.out.strip(), ())).status == 303
        assert (await other.get("/")).status == 200
        revoked = await shell.run("console", "--revoke")
        assert (await other.get("/")).status == 401

    assert local.out.startswith(f"http://127.0.0.1:{port}/console/sign-in/")
    assert local.err.strip().startswith("signs in once, within 10 minutes")
    assert revoked.out == "2 session(s) ended; links not used yet are void\n"
    assert (await somebody.get("/")).status == 401


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")],
)
def test_without_a_public_address_the_link_is_for_this_machine(host: str, address: str) -> None:
    assert address_of(Settings(host=host, port=80)) == address
    assert address_of(Settings(host=host, port=80, public_url="https://a.example"), local=True) == address
    assert address_of(Settings(host=host, port=80, public_url="https://a.example/bot/")) == "https://a.example/bot"


def test_where_there_is_no_console_no_link_is_made() -> None:
    with pytest.raises(ConsoleOff, match="VEILRUN_CONSOLE is false"):
        address_of(Settings(console=False))
    with pytest.raises(NoAddress, match="set VEILRUN_PUBLIC_URL"):
        address_of(Settings(port=0))
