"""The chat page's own routes: guarded, and no part of the Bot API."""

import aiohttp
import pytest

from runtime.sandbox.telegram import Chat, SandboxTelegram
from tests.sandbox.telegram.samples import film


async def test_the_page_forbids_foreign_scripts_and_frames(sandbox: SandboxTelegram) -> None:
    async with aiohttp.ClientSession() as session, session.get(sandbox.page_url) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        page = await response.text()
    assert "http://" not in page
    assert "https://" not in page


async def test_another_site_in_the_same_browser_cannot_act(sandbox: SandboxTelegram, chat: Chat) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{sandbox.base_url}/sandbox/chats/{chat.id}/block",
            json={"blocked": True},
            headers={"Origin": "https://elsewhere.example"},
        ) as response,
    ):
        assert response.status == 403
    assert chat.room.bot_status == "member"


async def test_nobody_acts_in_a_chat_of_others(sandbox: SandboxTelegram, chat: Chat) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{sandbox.base_url}/sandbox/chats/{chat.id}/block?user=bob", json={"blocked": True}) as response,
    ):
        assert response.status == 404


@pytest.mark.parametrize(
    ("wanted", "status", "part"),
    [
        ("bytes=0-3", 206, slice(0, 4)),
        ("bytes=4-", 206, slice(4, None)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=99999999-", 416, None),
    ],
)
async def test_videos_can_be_wound(
    sandbox: SandboxTelegram, chat: Chat, wanted: str, status: int, part: slice | None
) -> None:
    content = film()
    video = chat.send_video(content).video
    assert video is not None
    url = f"{sandbox.base_url}/sandbox/media/{video['file_unique_id']}"
    async with aiohttp.ClientSession() as session, session.get(url, headers={"Range": wanted}) as response:
        assert response.status == status
        if part is not None:
            assert await response.read() == content[part]
            assert response.content_type == "video/mp4"


async def test_an_uploaded_web_page_is_never_shown_as_one(sandbox: SandboxTelegram, chat: Chat) -> None:
    for name in ("evil.html", "evil.svg"):
        document = chat.send_document(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", name).document
        assert document is not None
        url = f"{sandbox.base_url}/sandbox/media/{document['file_unique_id']}"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            assert response.content_type == "application/octet-stream"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/sandbox/static/nothing.js", "/sandbox/static/../page.py", "/sandbox/media/none"])
async def test_what_is_not_there_is_404(sandbox: SandboxTelegram, path: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{sandbox.base_url}{path}") as response:
        assert response.status == 404


async def test_the_sandbox_can_stop_with_pages_open_and_start_again(sandbox: SandboxTelegram) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{sandbox.base_url}/sandbox/events") as response:
            await response.content.readline()
            await sandbox.stop()
        await sandbox.start()
        async with session.get(f"{sandbox.base_url}/sandbox/events") as response:
            assert await response.content.readline() == b"event: state\n"
