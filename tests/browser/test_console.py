"""The operators' console in a real browser."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.conftest import Database
from tests.console.stage import MARKER, Stage, staged
from webhooks.console import pages, stream

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PAGES = ("", "backends", "backends/gpu-a", "queue", "jobs", "dead", "plugins")
Enter = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(loop_scope="session")
async def stage(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(pages, "SECONDS", 0.0)
    monkeypatch.setattr(stream, "SECONDS", 0.05)
    async with staged(database.dsn) as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="session")
async def enter(chromium: Browser, stage: Stage) -> AsyncIterator[Enter]:
    """Sign in with a link. Afterwards nothing may have gone wrong, been blocked or come from elsewhere."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
        page.on("request", lambda sent: None if sent.url.startswith(stage.url) else complaints.append(sent.url))

    async def enter(*, phone: bool = False, dark: bool = False, script: bool = True) -> Page:
        context = await chromium.new_context(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            is_mobile=phone,
            has_touch=phone,
            java_script_enabled=script,
        )
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(8000)
        listen(page)
        await page.goto(await stage.link())
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
        return page

    yield enter
    for context in contexts:
        await context.close()
    assert [complaint for complaint in complaints if "401 (Unauthorized)" not in complaint] == []


async def test_a_link_signs_in_and_the_page_goes_on_by_itself(stage: Stage, enter: Enter) -> None:
    page = await enter()
    await expect(page.locator("#live")).to_have_text("live")
    await page.get_by_role("link", name="Queue").click()
    await expect(page.get_by_text("Nobody waits")).to_be_visible()

    number = await stage.job("wan", placement="waiting for gpu-a, which is busy")
    row = page.get_by_role("row").filter(has_text=f"#{number}")
    await expect(row).to_contain_text("waiting for gpu-a, which is busy")
    await expect(page.get_by_role("link", name=re.compile("Queue"))).to_contain_text("1")

    await stage.execute("update jobs set state = 'cancelled' where id = %s", number)
    await expect(page.get_by_text("Nobody waits")).to_be_visible()


async def test_a_run_is_watched(stage: Stage, enter: Enter) -> None:
    numbers = await stage.fill()
    page = await enter()
    strip = page.get_by_role("article", name="gpu-a")
    await expect(strip.get_by_role("progressbar")).to_have_js_property("value", 45)
    await expect(strip).to_contain_text("step 2 of 4")

    await stage.execute(
        """update jobs set progress = '{"phase": "running", "fraction": 0.8, "step": 3, "steps": 4}' where id = %s""",
        numbers["running"][0],
    )
    await expect(strip.get_by_role("progressbar")).to_have_js_property("value", 80)
    await expect(strip).to_contain_text("step 3 of 4")


async def test_what_somebody_is_about_to_do_survives_the_news(stage: Stage, enter: Enter) -> None:
    dead = [await stage.job(state="dead") for _ in range(3)]
    page = await enter()
    await page.goto(f"{stage.console}/dead")
    await expect(page.locator("#live")).to_have_text("live")
    box = page.get_by_role("checkbox", name=f"Choose job {dead[0]}")
    await box.check()
    await box.focus()

    later = await stage.job(state="dead")  # above it
    await expect(page.get_by_role("row")).to_have_count(5)
    await stage.execute("update jobs set state = 'queued' where id = %s", dead[2])
    await expect(page.get_by_role("row")).to_have_count(4)
    await expect(box).to_be_checked()
    await expect(box).to_be_focused()
    await expect(page.get_by_role("checkbox", name=f"Choose job {later}")).not_to_be_checked()

    await page.goto(f"{stage.console}/backends/gpu-a")
    await expect(page.locator("#live")).to_have_text("live")
    reason = page.get_by_label("Reason, shown to those who wait")
    await reason.press_sequentially("new f")
    await stage.fleet()
    await expect(page.get_by_text("is in quarantine here")).to_be_visible()
    await reason.press_sequentially("an")
    await reason.press("Enter")
    await expect(page.get_by_text(re.compile(r"Takes no new jobs since .*: new fan"))).to_be_visible()


async def test_dead_letters_are_replayed(stage: Stage, enter: Enter) -> None:
    one, two = [await stage.job(state="dead", error="LoadTimeout") for _ in range(2)]
    page = await enter()
    await page.get_by_role("link", name="Dead letters").first.click()
    await page.get_by_role("checkbox", name=f"Choose job {one}").check()
    await page.get_by_role("button", name="Replay chosen").click()
    await expect(page.get_by_role("status").filter(has_text="Queued again")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text=f"#{one}")).to_have_count(0)
    assert [await stage.state(one), await stage.state(two)] == ["queued", "dead"]
    assert "said=" not in page.url  # a reload says it no more

    await page.get_by_role("link", name=f"#{two}").click()
    await page.get_by_role("button", name="Replay").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("queued")
    assert await stage.state(two) == "queued"


async def test_everything_works_without_script(stage: Stage, enter: Enter) -> None:
    numbers = await stage.fill()
    page = await enter(script=False)
    await expect(page.get_by_role("article", name="gpu-a")).to_contain_text("done in")
    await page.get_by_role("link", name="Backends").first.click()
    await page.get_by_role("button", name="Resume gpu-b").click()
    await expect(page.get_by_text("Takes jobs again.")).to_be_visible()
    await page.goto(f"{stage.console}/jobs/{numbers['running'][0]}")
    await page.get_by_text("Cancel this job…").click()
    await page.get_by_role("button", name="Cancel job").click()
    await expect(page.get_by_text("Its worker was asked to stop it.")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()


async def test_a_long_queue_has_one_line_a_job(stage: Stage, enter: Enter) -> None:
    for _ in range(100):
        await stage.job("flux", placement="waiting for gpu-a, which is busy and has its model loaded")
    page = await enter()
    await page.goto(f"{stage.console}/queue")
    heights = await page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")

    assert len(heights) == 100
    assert max(heights) == min(heights) < 40


async def test_a_narrow_phone_has_room_for_every_word_of_the_navigation(stage: Stage, enter: Enter) -> None:
    page = await enter(phone=True)
    await page.set_viewport_size({"width": 360, "height": 780})
    links = page.get_by_role("navigation", name="Console").locator("a > span:not(.badge)")
    boxes = [await link.bounding_box() for link in await links.all()]

    assert len(boxes) == 6
    edges = [(box["x"], box["x"] + box["width"]) for box in boxes if box]
    assert all(end + 1 < begin for (_, end), (begin, _) in pairwise(edges))


async def test_a_phone_shows_every_page_without_scrolling_sideways(stage: Stage, enter: Enter) -> None:
    numbers = await stage.fill()
    await stage.execute("update jobs set placement = repeat('waiting ', 30) || repeat('x', 200) where state = 'queued'")
    await stage.execute("update backends set health_reason = repeat('y', 300) where name = 'gpu-c'")
    page = await enter(phone=True)
    for path in (*PAGES, *(f"jobs/{of_state[0]}" for of_state in numbers.values())):
        await page.goto(f"{stage.console}/{path}")
        await expect(page.locator("#live")).to_have_text("live")
        sticking_out = await page.evaluate(
            """() => [...document.querySelectorAll("body *:not(.sr, .sr *, thead, thead *, .skip-link)")]
                .filter((element) => element.getBoundingClientRect().right > innerWidth + 0.5)
                .map((element) => element.outerHTML.slice(0, 80))"""
        )
        assert sticking_out == [], path
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        bar = await page.get_by_role("navigation", name="Console").bounding_box()
        assert bar is not None
        assert bar["y"] + bar["height"] == PHONE["height"]


async def test_nothing_that_users_wrote_reaches_a_browser(stage: Stage, enter: Enter) -> None:
    numbers = await stage.fill()
    page = await enter(dark=True)
    bodies: list[str] = []
    for path in (*PAGES, *(f"jobs/{of_state[0]}" for of_state in numbers.values())):
        await page.goto(f"{stage.console}/{path}")
        await expect(page.locator("#live")).to_have_text("live")  # it has had an event
        bodies.append(await page.content())
    assert all("veilrun" in body for body in bodies)
    assert not [body for body in bodies if MARKER in body]


async def test_it_can_be_used_with_the_keyboard_and_read_aloud(stage: Stage, enter: Enter) -> None:
    await stage.fill()
    page = await enter()
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await expect(page.get_by_role("banner")).to_be_visible()
    await expect(page.get_by_role("navigation", name="Console")).to_be_visible()
    await expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
    for path in PAGES:
        await page.goto(f"{stage.console}/{path}")
        await expect(page.get_by_role("heading", level=1)).to_have_count(1)
        nameless = await page.evaluate(
            """() => [...document.querySelectorAll("button, a, input:not([type=hidden]), select")]
                .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"""
        )
        assert nameless == [], path
        assert await page.locator("[aria-live]").count() == 0  # what changes every second is not read aloud
        assert await page.get_by_role("status").count() == 1


async def test_a_revoked_session_leaves_the_page(stage: Stage, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHECK_SECONDS", 0.1)
    await stage.fill()
    page = await enter()
    await expect(page.locator("#live")).to_have_text("live")
    await stage.execute("delete from console_sessions")
    await expect(page.get_by_text("veilrun console", exact=True)).to_be_visible()
    await expect(page.get_by_text("gpu-a")).to_have_count(0)
