"""What the runtime adds to ComfyUI: from the webhook POST to sendPhoto arriving, less a bare client for the same graph.

Real parts: web process, worker process, embedded PostgreSQL, Dramatiq. The sandbox ComfyUI renders nothing (grey
pictures at once), so that what is left is the protocol and the runtime. Both take turns in one run.
"""

import argparse
import asyncio
import json
import secrets
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from pathlib import Path

import aiohttp

from db import migrate
from db.embedded import embedded_database
from plugins.flux import flux
from runtime.chat.webhook import PATH
from runtime.sandbox.telegram import SandboxTelegram
from runtime.settings import read_settings
from tests.e2e.deployment import TOKEN, deployed

SIZE = [256, 256]
BAR_MS = 25.0
REGISTRY = """\
version: 1
access: {{default: public}}
backends: [{{name: gpu, url: "{url}", device: sandbox, vram_gb: 32}}]
plugins: {{flux: {{enabled: true}}}}
"""


class BareClient:
    """The shortest honest way to a picture: a socket that is open already, POST, wait for the end, history, view."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url, self._id = session, url, uuid.uuid4().hex

    async def open(self) -> None:
        self._socket = await self._session.ws_connect(f"{self._url}/ws?clientId={self._id}")

    async def picture(self, seed: int) -> bytes:
        values = {"prompt": ["an astronaut"], "size": SIZE, "seed": [seed], "n": [1], "steps": [4]}
        graph = flux.workflow.fill(values)  # type: ignore[arg-type]
        document = {"prompt": graph, "client_id": self._id}
        async with self._session.post(f"{self._url}/prompt", json=document) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                event = json.loads(message.data)
                data = event["data"]
                if event["type"] == "executing" and data["node"] is None and data.get("prompt_id") == prompt_id:
                    break
        async with self._session.get(f"{self._url}/history/{prompt_id}") as answer:
            file = (await answer.json())[prompt_id]["outputs"]["save"]["images"][0]
        async with self._session.get(f"{self._url}/view", params=file) as answer:
            return await answer.read()


class WholePath:
    """A chat command from the webhook to the chat."""

    def __init__(self, session: aiohttp.ClientSession, web_url: str, telegram: SandboxTelegram) -> None:
        self._session, self._url, self._telegram = session, web_url, telegram
        secret = read_settings(TELEGRAM_BOT_TOKEN=TOKEN).webhook_secret
        self._headers = {"X-Telegram-Bot-Api-Secret-Token": secret, "Content-Type": "application/json"}
        self._user = telegram.user("Alice")
        self._number = 1_000_000

    async def seconds(self, seed: int) -> float:
        """From the POST to the arrival of sendPhoto."""
        self._number += 1
        person = self._user.account.to_json()
        text = f"/f an astronaut --size {SIZE[0]}x{SIZE[1]} --seed {seed}"
        chat = {"id": self._user.id, "type": "private"}
        message = {"message_id": self._number, "from": person, "chat": chat, "date": int(time.time()), "text": text}
        update = json.dumps({"update_id": self._number, "message": message}).encode()
        known = len(self._telegram.journal.calls("sendPhoto"))
        started = time.time()
        async with self._session.post(self._url + PATH, data=update, headers=self._headers) as answer:
            if answer.status != 200:
                sys.exit(f"the webhook answered {answer.status}")
        await self._telegram.journal.wait_for("sendPhoto", count=known + 1, timeout=30)
        return self._telegram.journal.calls("sendPhoto")[known].received_at - started


async def measure(dsn: str, folder: Path, runs: int, warm_up: int) -> tuple[list[float], list[float]]:
    """(bare, whole) in seconds."""
    sandbox = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "runtime.sandbox.comfyui", "--port", "0", "--pace", "0", "--blank", stdout=-1
    )
    assert sandbox.stdout is not None
    url = (await sandbox.stdout.readline()).decode().split()[-1]
    try:
        async with (
            deployed(dsn, folder, registry=REGISTRY.format(url=url)) as running,
            aiohttp.ClientSession() as session,
        ):
            bare = BareClient(session, url)
            await bare.open()
            whole = WholePath(session, running.web_url, running.telegram)
            bare_times: list[float] = []
            whole_times: list[float] = []
            for number in range(warm_up + runs):
                started = time.perf_counter()
                await bare.picture(secrets.randbelow(2**32))
                took = time.perf_counter() - started
                through = await whole.seconds(secrets.randbelow(2**32))
                if number >= warm_up:
                    bare_times.append(took)
                    whole_times.append(through)
                await asyncio.sleep(0.5)  # let what follows the picture (clean-up, status) end
    finally:
        sandbox.terminate()
        await sandbox.wait()
    return bare_times, whole_times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="veilrun-bench-"))
    folder.chmod(0o711)
    try:
        with embedded_database(folder) as dsn:
            migrate.upgrade(dsn)
            bare, whole = asyncio.run(measure(dsn, folder, wanted.runs, warm_up=8))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    slow = max(int(len(bare) * 0.9) - 1, 0)
    added = statistics.median(whole) - statistics.median(bare)
    print(f"one picture of {SIZE[0]}x{SIZE[1]}, {wanted.runs} runs of each, taking turns")
    for name, times in (("bare client", bare), ("whole path", whole)):
        print(f"{name:12} median {statistics.median(times) * 1000:6.1f} ms   p90 {sorted(times)[slow] * 1000:6.1f} ms")
    print(f"ratio {statistics.median(whole) / statistics.median(bare):.1f}x")
    print(f"added {added * 1000:.1f} ms (bar {BAR_MS:g} ms) {'met' if added * 1000 <= BAR_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
