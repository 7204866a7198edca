"""What the pages show, and what they never show."""

import re

from runtime.registry import LiveRegistry
from tests.console.stage import MARKER, Operator, Stage, registry

PAGES = ("/", "/backends", "/backends/gpu-a", "/backends/gpu-b", "/queue", "/jobs", "/dead", "/plugins")


def words(page: str) -> str:
    """The page as it is read: no tags, single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace(" ,", ",")


def row(page: str, number: int) -> str:
    """The words of the table row of a job."""
    found = re.search(rf'<tr role="row" data-key="{number}">.*?</tr>', page, re.S)
    assert found, f"no row {number}"
    return words(found[0]).strip()


async def test_no_page_shows_what_users_wrote(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    single = [f"/jobs/{number}" for of_state in numbers.values() for number in of_state]
    for path in (*PAGES, *single):
        answer = await somebody.get(path)
        assert answer.status == 200, path
        assert MARKER not in somebody.page, path
        assert "birthday" not in somebody.page, path


async def test_the_overview_says_what_runs_and_what_is_wrong(stage: Stage, somebody: Operator) -> None:
    await stage.fill()
    await somebody.get("/")
    page = words(somebody.page)

    assert "1 of 3 take jobs" in page
    for notice in (
        "Plugin acme-upscale is not active importing acme failed: no torch",
        "gpu-c is away connection refused",
        "flux --dev is in quarantine on gpu-a it failed there 3 times in a row (LoadTimeout)",
        "gpu-b is drained new driver",
        "gpu-b cannot run every command wan: model file wan_2.1_vae.safetensors is missing",
        "2 dead letters",
    ):
        assert notice in page
    assert page.index("gpu-c is away") < page.index("gpu-b is drained")  # what keeps people waiting comes first


async def test_a_deployment_at_rest_says_so(stage: Stage, somebody: Operator) -> None:
    stage.live.edition = LiveRegistry(registry("flux"), stage.live.command_ids).edition
    await somebody.get("/queue")
    assert "Nobody waits" in somebody.page
    await somebody.get("/dead")
    assert "No dead letters" in somebody.page
    await somebody.get("/jobs")
    assert "No jobs yet" in somebody.page
    await somebody.get("/backends")
    assert "never checked" in words(somebody.page)
    await stage.execute("update backends set health = 'drained', health_reason = 'not in the registry'")
    await somebody.get("/backends")
    assert "No backend yet" in somebody.page


async def test_a_backend_says_what_it_is_what_it_does_and_what_is_wrong(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    await somebody.get("/backends/gpu-a")
    page = words(somebody.page)

    assert "RTX 5090, 32 GB" in page
    assert "cuda:0 NVIDIA GeForce RTX 5090, 31.4 GB" in page
    assert "Weights flux-schnell" in page
    assert f"#{numbers['running'][0]} /flux" in page
    assert "step 2 of 4 · 45 %" in page
    assert f"next #{numbers['placed'][0]} /wan" in page
    assert "/flux --dev is in quarantine here: 3 failures in a row (LoadTimeout)." in page
    assert (await somebody.get("/backends/gpu-z")).status == 404


async def test_the_queue_says_who_is_next_and_what_each_waits_for(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    await somebody.get("/queue")

    first, second, _ = numbers["queued"]
    assert row(somebody.page, first).startswith(f"1 #{first} /flux")
    assert "waiting for gpu-a, which is busy and has its model loaded" in row(somebody.page, first)
    assert re.search(r"in 1 min 3\d s$", row(somebody.page, first))
    assert "waiting for gpu-b, which takes no new jobs: new driver" in row(somebody.page, second)
    assert re.search(r"in (2 h|1 h 59 min)", row(somebody.page, numbers["later"][0]))


async def test_a_long_queue_is_not_read_to_its_end(stage: Stage, somebody: Operator) -> None:
    await stage.execute(
        """insert into jobs (command_id, command, arguments, rank_at)
           select %s, 'flux', '{}', now() + number * interval '1 ms' from generate_series(1, 1500) as number""",
        stage.live.command_ids["flux"],
    )
    await somebody.get("/queue")

    assert somebody.page.count('<td role="cell" class="number position"') == 100
    assert "the first 100 of 1,000+" in words(somebody.page)
    assert "999+" in somebody.page


async def test_jobs_are_found_by_state_and_command(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()

    async def listed(query: str) -> list[int]:
        assert (await somebody.get(f"/jobs?{query}")).status == 200
        return [int(number) for number in re.findall(r'<tr role="row" data-key="(\d+)">', somebody.page)]

    everything = sorted((number for of_state in numbers.values() for number in of_state), reverse=True)
    assert await listed("") == everything
    assert await listed("state=delivered") == sorted(numbers["delivered"], reverse=True)
    assert await listed("state=dead&command=wan") == [numbers["dead"][1]]
    assert await listed("command=nothing") == []
    assert "No such job" in somebody.page
    assert await listed("state=%27&before=x&command=%27") == []  # whatever somebody writes there
    assert (await somebody.get("/jobs?command=%00")).status == 404
    assert await listed(f"before={numbers['queued'][0]}") == [numbers["placed"][0], numbers["running"][0]]


async def test_jobs_are_paged_by_number(stage: Stage, somebody: Operator) -> None:
    numbers = [await stage.job() for _ in range(53)]
    await somebody.get("/jobs?state=queued")
    older = re.search(r'href="\./(jobs\?state=queued&amp;command=&amp;before=(\d+))"', somebody.page)
    assert older is not None
    assert int(older[2]) == numbers[3]

    await somebody.get("/" + older[1].replace("&amp;", "&"))
    assert [int(one) for one in re.findall(r'data-key="(\d+)">', somebody.page)] == numbers[2::-1]
    assert "before=" not in somebody.page.split("</table>")[1]


async def test_a_rare_state_is_looked_for_in_parts(stage: Stage, somebody: Operator) -> None:
    (dead,) = [await stage.job(state="failed")]
    await stage.execute(
        """insert into jobs (command_id, command, arguments, state)
           select %s, 'flux', '{}', 'delivered' from generate_series(1, 10001)""",
        stage.live.command_ids["flux"],
    )
    await somebody.get("/jobs?state=failed")
    further = re.search(r'href="\./(jobs\?state=failed[^"]+)">Look further back', somebody.page)
    assert further is not None
    await somebody.get("/" + further[1].replace("&amp;", "&"))

    assert f'data-key="{dead}"' in somebody.page


async def test_a_job_is_told_without_its_words(stage: Stage, somebody: Operator) -> None:
    numbers = await stage.fill()
    await somebody.get(f"/jobs/{numbers['dead'][0]}")
    page = words(somebody.page)

    assert "BackendUnreachable No connection, or it broke." in page
    assert "flux 1.2.0" in page
    assert "prompt text" in page
    assert "size width × height" in page
    assert "steps whole number" in page
    assert "values are never shown" in page
    assert "dead, BackendUnreachable" in page
    assert re.search(r"cold\s+9\.1 s\s+2\.9 s", page)
    assert "error BackendUnreachable" in page
    await somebody.get(f"/jobs/{numbers['queued'][1]}")
    assert "waiting for gpu-b, which takes no new jobs: new driver" in words(somebody.page)
    assert "2 in the queue" in words(somebody.page)


async def test_plugins_say_why_they_are_not_active(stage: Stage, somebody: Operator) -> None:
    stage.live.problem = "plugin_registry.yaml:7: backends[0]: unknown key `vram`\nplugin_registry.yaml:9: …"
    await somebody.get("/plugins")
    page = words(somebody.page)

    assert "acme-upscale faulty 0.3.1 veilrun-acme-upscale importing acme failed: no torch" in page
    assert "sd3 not enabled" in page
    assert "unknown key `vram`" in page
    await somebody.get("/")
    assert "The registry file was refused, the old one stays in force" in somebody.page


async def test_without_a_database_a_plain_page_says_so(stage: Stage, somebody: Operator) -> None:
    await stage.fill()
    await stage.pool.close()
    answer = await somebody.get("/backends")

    assert answer.status == 503
    assert answer.headers["Retry-After"] == "5"
    assert "The database does not answer" in somebody.page
    assert "gpu-a" not in somebody.page
