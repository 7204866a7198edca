"""The registry file is changed while people ask for pictures: nothing is lost, and nothing is refused."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg import sql

from runtime.registry.edit import set_enabled
from runtime.sandbox.comfyui import Pace, SandboxComfyUI
from runtime.sandbox.telegram import Chat, ChatMessage
from tests.conftest import Database
from tests.e2e.deployment import TOKEN, Deployment, deployed, picture_after, registry_text
from tests.worker.yard import eventually

pytestmark = pytest.mark.slow

JOBS = 40
CHANGES = 5


async def metric(deployment: Deployment, name: str, **labels: str) -> float:
    """What the web process tells, 0 if it does not."""
    async with aiohttp.ClientSession() as session, session.get(f"{deployment.web_url}/metrics") as response:
        families = list(text_string_to_metric_families(await response.text()))
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


async def until_metric(deployment: Deployment, name: str, wanted: float, **labels: str) -> None:
    async def is_so() -> bool:
        return await metric(deployment, name, **labels) >= wanted

    await eventually(is_so, seconds=20)


async def ask_all(chats: list[Chat], pause_seconds: float) -> int:
    """Ask for JOBS pictures one after the other; how many came."""
    asked = []
    for number in range(JOBS):
        chat = chats[number % len(chats)]
        asked.append((chat, chat.send(f"/f lighthouse {number} --size 256x256")))
        await asyncio.sleep(pause_seconds)
    for chat in chats:
        expected = sum(one is chat for one, _ in asked)
        await chat.wait_until(
            lambda shown, e=expected: sum(m.photo is not None for m in shown.messages) == e, timeout=60
        )
    return len(asked)


async def test_changes_under_load_lose_no_job_and_refuse_no_update(database: Database, tmp_path: Path) -> None:
    pace = Pace(load_seconds=0.05, step_seconds=0.1, class_seconds={})
    async with SandboxComfyUI(pace=pace) as first, SandboxComfyUI(pace=pace) as second:
        with_both = registry_text([first, second])
        with_one = registry_text([first])
        async with deployed(
            database.dsn, tmp_path, registry=with_one, comfyui=first, workers=2, VEILRUN_LOG_LEVEL="error"
        ) as deployment:
            path = tmp_path / "plugin_registry.yaml"
            chats = [deployment.telegram.user(f"User{number}").private_chat for number in range(4)]
            asking = asyncio.create_task(ask_all(chats, pause_seconds=0.2))

            for number in range(1, CHANGES + 1):
                text = with_both if number % 2 else with_one
                path.write_text(text.replace("wan: {enabled: true}", f"wan: {{priority: {number}}}"), encoding="utf-8")
                await until_metric(deployment, "veilrun_registry_reloads_total", number, result="done")
            path.write_text("version: 1\nbackends: {\n", encoding="utf-8")
            await until_metric(deployment, "veilrun_registry_refused", 1)

            assert await asking == JOBS
            async with await database.connect() as connection:

                async def all_are(table: str, state: str) -> bool:
                    query = sql.SQL("select state, count(*) from {} group by 1").format(sql.Identifier(table))
                    return await (await connection.execute(query)).fetchall() == [(state, JOBS)]

                await eventually(lambda: all_are("jobs", "delivered"))  # which is written after Telegram's answer
                await eventually(lambda: all_are("updates", "done"))
            refused = await metric(deployment, "veilrun_updates_received_total")
            assert refused == await metric(deployment, "veilrun_updates_received_total", result="stored")
            assert second.graphs


async def test_a_disabled_command_is_gone_and_its_running_job_ends_as_it_began(
    database: Database, tmp_path: Path
) -> None:
    pace = Pace(load_seconds=0.1, step_seconds=0.5, class_seconds={})
    async with (
        SandboxComfyUI(pace=pace) as comfyui,
        deployed(database.dsn, tmp_path, registry=registry_text([comfyui]), comfyui=comfyui) as deployment,
    ):
        chat, path = deployment.chat, tmp_path / "plugin_registry.yaml"
        running = chat.send("/f an astronaut --size 256x256")
        await eventually(lambda: asyncio.sleep(0, bool(comfyui.graphs)))

        set_enabled(path, "flux", False)
        await until_metric(deployment, "veilrun_registry_reloads_total", 1, result="done")
        picture = await picture_after(chat, running)
        asked = chat.send("/f another one")
        answer = await chat.wait_for(lambda message: message.from_bot, after=max(asked, picture, key=_number))
        await _until_menu(deployment, "flux", is_there=False)

        set_enabled(path, "flux", True)
        await _until_menu(deployment, "flux", is_there=True)

    assert picture.photo is not None
    assert "/f" in (answer.text or "")


def _number(message: ChatMessage) -> int:
    return message.message_id


async def _until_menu(deployment: Deployment, command: str, *, is_there: bool) -> None:
    url = f"{deployment.telegram.base_url}/bot{TOKEN}/getMyCommands"
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        while True:
            async with session.post(url) as response:
                entries = (await response.json())["result"]
            if (command in {entry["command"] for entry in entries}) is is_there:
                return
            await asyncio.sleep(0.1)
