"""The checks as a whole: order, deadlines, and what happens when one breaks."""

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from runtime.doctor import Check, Deployment, Line, diagnose
from runtime.doctor.aside import aside
from runtime.doctor.line import ok
from runtime.doctor.registry import read_registry
from runtime.settings import Settings


def telling(name: str, *, after: asyncio.Event | None = None, then: asyncio.Event | None = None) -> Check:
    async def look(_: Deployment) -> list[Line]:
        if after is not None:
            await after.wait()
        if then is not None:
            then.set()
        return [ok(name, "looked at")]

    return Check(name, look, 10.0)


async def subjects(settings: Settings, *checks: Check) -> list[Line]:
    names = {check.subject for check in checks}
    return [line async for line in diagnose(settings, environment={}, checks=checks) if line.subject in names]


async def test_checks_run_side_by_side_and_their_lines_come_in_order(settings: Settings) -> None:
    second_is_done = asyncio.Event()
    found = await subjects(
        settings, telling("first", after=second_is_done), telling("second", then=second_is_done), telling("third")
    )

    assert [line.subject for line in found] == ["first", "second", "third"]


async def test_a_check_that_hangs_is_a_fault_and_the_others_go_on(settings: Settings) -> None:
    async def hang(_: Deployment) -> list[Line]:
        await asyncio.Event().wait()
        return []

    found = await subjects(settings, Check("slow", hang, 0.05), telling("other"))

    assert [(line.level, line.subject) for line in found] == [("fault", "slow"), ("ok", "other")]
    assert "no answer within 0.05 s" in found[0].text


async def test_a_check_that_breaks_is_a_fault_without_its_words(settings: Settings) -> None:
    async def break_(_: Deployment) -> list[Line]:
        raise ValueError("postgresql://bot:hush@host")

    found = await subjects(settings, Check("broken", break_, 1.0), telling("other"))

    assert [(line.level, line.subject) for line in found] == [("fault", "broken"), ("ok", "other")]
    assert "ValueError" in found[0].text
    assert "hush" not in repr(found)


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Set at the end, so that nothing hangs beyond its test."""
    event = threading.Event()
    yield event
    event.set()


async def test_work_that_hangs_in_a_thread_is_left_behind(hanging: threading.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await aside(hanging.wait)

    (thread,) = [thread for thread in threading.enumerate() if thread.name == "doctor-aside"]
    assert thread.daemon  # the end of the process does not wait for it


async def test_a_plugin_whose_import_hangs_is_a_fault(
    settings: Settings, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site"
    (package / "slow-1.0.dist-info").mkdir(parents=True)
    (package / "slow-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
    (package / "slow-1.0.dist-info" / "entry_points.txt").write_text("[veilrun.plugins]\nslow = slow_import\n")
    (package / "slow_import.py").write_text("import time\ntime.sleep(2)\n")
    monkeypatch.syspath_prepend(package)
    settings.registry.write_text("version: 1\naccess: {default: public}\nplugins: {slow: {enabled: true}}\n")
    started = time.monotonic()
    registry, found = await read_registry(settings, seconds=0.2)

    assert registry is None
    assert [line.level for line in found] == ["fault"]
    assert "hangs" in found[0].text
    assert time.monotonic() - started < 2
