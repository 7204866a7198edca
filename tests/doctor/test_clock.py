"""Clocks that the checks came across, against ours."""

import time
from email.utils import formatdate
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from runtime.doctor.clock import Reading, clock_lines
from runtime.settings import Settings
from tests.doctor.deployments import described, lines


def reading(ahead: float, off_by: float = 0.0, source: str = "gpu") -> Reading:
    return Reading(source, ahead, off_by)


def test_clocks_that_agree_are_one_line() -> None:
    (line,) = clock_lines([reading(0.3), reading(-2.0, source="Telegram")], needs_anon=True)

    assert (line.level, line.text) == ("ok", "within 2 s of gpu, Telegram")


def test_the_time_that_the_answer_took_is_no_difference() -> None:
    (line,) = clock_lines([reading(9.0, off_by=8.0)], needs_anon=False)

    assert line.level == "ok"


def test_a_clock_that_is_behind_is_a_warning_and_says_by_how_much() -> None:
    (line,) = clock_lines([reading(-300.0), reading(0.0, source="Telegram")], needs_anon=False)

    assert (line.level, line.text) == ("warning", "this machine is 5 min behind gpu")
    assert "NTP" in line.cure


def test_a_clock_that_is_hours_wrong_is_a_fault_where_anon_is_needed() -> None:
    (line,) = clock_lines([reading(3 * 3600.0)], needs_anon=True)

    assert line.level == "fault"
    assert "3 h ahead" in line.text


def test_nobody_to_compare_with_is_said() -> None:
    (line,) = clock_lines([], needs_anon=False)

    assert line.level == "warning"


def test_a_date_that_is_none_says_nothing() -> None:
    assert Reading.of_date("gpu", "yesterday", 0.0, 1.0) is None


async def test_a_backend_with_another_time_is_told_from_its_date_header(settings: Settings, tmp_path: Path) -> None:
    async def tell(request: web.Request) -> web.Response:
        answer = {"exec_info": {"queue_remaining": 0}, "system": {"comfyui_version": "0.3.64"}, "devices": []}
        return web.json_response(answer, headers={"Date": formatdate(time.time() - 3600, usegmt=True)})

    application = web.Application()
    application.router.add_get("/{path:.*}", tell)
    async with TestServer(application) as server:
        settings = described(settings, tmp_path, f'name: gpu, url: "http://127.0.0.1:{server.port}"')
        (line,) = await lines(settings, "clock")

    assert (line.level, line.text) == ("warning", "this machine is 60 min ahead of gpu")
