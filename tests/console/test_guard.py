"""What keeps others out: forms of other pages, other names for us, frames, scripts."""

import re

from tests.console.stage import Operator, Stage, operator

FORMS = (
    "/backends/gpu-a/drain",
    "/backends/gpu-b/resume",
    "/backends/gpu-a/reset",
    "/jobs/{dead}/replay",
    "/jobs/{running}/cancel",
    "/dead/replay",
    "/sign-out",
)
PAGES = ("/", "/backends", "/backends/gpu-a", "/queue", "/jobs", "/jobs/{dead}", "/dead", "/plugins")


async def table(stage: Stage) -> list[tuple[object, ...]]:
    """All that a form could change."""
    async with stage.pool.connection() as connection:
        found = [
            await (await connection.execute(statement)).fetchall()
            for statement in (
                "select id, state, cancel_requested from jobs order by id",
                "select name, drained_at from backends order by name",
                "select bucket from breakers",
                "select digest from console_sessions",
            )
        ]
    return [row for rows in found for row in rows]


async def test_no_form_is_taken_from_elsewhere(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    async with operator(stage) as other:
        before, key, foreign = await table(stage), somebody.form_key, other.form_key
        assert key != foreign
        for path in FORMS:
            path = path.format(dead=numbers["dead"][0], running=numbers["running"][0])
            for fields, headers in (
                ((), {}),
                ((("key", "0" * 64),), {}),
                ((("key", foreign),), {}),
                ((("key", key),), {"Origin": "https://evil.example"}),
                ((("key", key),), {"Origin": "null"}),
                ((("key", key),), {"Origin": ""}),
                ((("key", key),), {"Sec_Fetch_Site": "cross-site", "Sec-Fetch-Site": ""}),
                ((("key", key),), {"Content-Type": "text/plain"}),
            ):
                answer = await somebody.send(path, fields, **headers)
                assert answer.status == 403, (path, fields, headers)
        assert await table(stage) == before


async def test_nobody_acts_without_being_signed_in(stage: Stage, stranger: Operator) -> None:
    numbers = await stage.fill()
    before = await table(stage)
    for path in FORMS:
        path = path.format(dead=numbers["dead"][0], running=numbers["running"][0])
        assert (await stranger.send(path, (("key", "0" * 64),))).status == 401
    assert await table(stage) == before


async def test_a_button_is_no_address(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    for path in FORMS:
        path = path.format(dead=numbers["dead"][0], running=numbers["running"][0])
        assert (await somebody.get(path)).status in (404, 405)


async def test_who_is_not_signed_in_sees_nothing(stage: Stage, stranger: Operator) -> None:
    numbers = await stage.fill()
    for path in PAGES:
        for accept in ("text/html", "text/event-stream"):
            answer = await stranger.get(path.format(dead=numbers["dead"][0]), Accept=accept)
            assert answer.status == 401
            assert "gpu" not in stranger.page
            assert "flux" not in stranger.page


async def test_every_answer_is_kept_to_itself(stage: Stage, somebody: Operator, stranger: Operator) -> None:
    answers = [
        await somebody.get("/"),
        await somebody.get("/nowhere"),
        await somebody.get("/jobs/999999"),
        await somebody.post("/sign-out"),
        await stranger.get("/"),
        await stranger.get(await stage.link()),
        await stranger.get("/", Host="evil.example"),
        await stranger.send("/sign-in/x", ()),
    ]
    for answer in answers:
        headers = answer.headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"


async def test_pages_have_no_scripts_of_their_own_and_name_no_other_host(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    for path in PAGES:
        await somebody.get(path.format(dead=numbers["dead"][0]))
        page = somebody.page
        assert re.findall(r"<script[^>]*>(?!</script>)", page) == []
        assert "style=" not in page
        assert "<style" not in page
        assert re.findall(r"\son[a-z]+=", page) == []
        addresses = re.findall(r'(?:href|src|action|formaction)="([^"]*)"', page)
        assert addresses
        assert [one for one in addresses if "//" in one or one.startswith("/")] == []


async def test_another_name_for_this_address_is_refused(stage: Stage, somebody: Operator) -> None:
    await stage.fill()
    answer = await somebody.get("/", Host="rebound.example")

    assert answer.status == 421
    assert "gpu-a" not in somebody.page


async def test_addresses_and_hidden_names_are_ours(stage: Stage, stranger: Operator) -> None:
    for name in ("localhost", "192.168.1.5:8080", "[::1]:8080", "a2b3c4.anyone"):
        assert (await stranger.get("/", Host=name)).status == 401, name


async def test_what_makes_no_sense_is_refused_and_breaks_nothing(stage: Stage, somebody: Operator) -> None:
    answers = [
        await somebody.get("/", Host="["),
        await somebody.send("/sign-out", (), Origin="http://["),
        await somebody.get(f"/jobs/{'9' * 5000}"),
        await somebody.get("/jobs/²"),
        await somebody.post(f"/jobs/{'9' * 5000}/cancel"),
        await somebody.get(f"/static/{'a' * 300}.css"),
        await somebody.get("/static/..%2Frendering.py"),
    ]
    assert [answer.status for answer in answers] == [421, 403, 404, 404, 404, 404, 404]


async def test_a_form_has_an_end(stage: Stage, somebody: Operator) -> None:
    answer = await somebody.send("/dead/replay", (("key", somebody.form_key), ("job", "1" * 70_000)))

    assert answer.status == 413


async def test_numbers_that_are_none_change_nothing(stage: Stage, somebody: Operator) -> None:
    for fields in ((("job", "1; drop table jobs"),), (("job", "9" * 40),)):
        answer = await somebody.post("/dead/replay", *fields)
        assert answer.status in (303, 403)
    assert (await somebody.post("/backends/gpu%00/drain")).status == 404
    assert (await somebody.get(f"/jobs/{2**70}")).status == 404
    assert (await somebody.post(f"/jobs/{2**70}/replay")).status == 404


async def test_files_are_kept_by_browsers_and_nothing_else_is_served(stage: Stage, stranger: Operator) -> None:
    await stranger.get("/")
    for path in re.findall(r'(?:href|src)="\./(static/[^"]+)"', stranger.page):
        answer = await stranger.get(f"/{path}")
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    for path in (
        "/static/../app.py",
        "/static/%2e%2e%2fapp.py",
        "/static/nothing.css",
        "/static/",
        "/templates/job.html",
    ):
        assert (await stranger.get(path)).status == 404


async def test_the_address_without_a_slash_leads_to_the_console(stage: Stage, stranger: Operator) -> None:
    answer = await stranger.get(f"{stage.url}/console")

    assert (answer.status, answer.headers["Location"]) == (307, "console/")
