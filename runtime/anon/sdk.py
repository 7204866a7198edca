"""The official SDK behind one door. Sound parts of it are used as they are; the others are gone around:

- `import anyone_protocol_sdk` fails unless a binary lies below the home folder: a home with a link to ours is shown.
- Its configuration writer, circuit list and HTTP client are not used (see docs/design.md).
- It prints to standard output: that goes nowhere.
- Everything in it blocks: `Control` here runs each question in a thread.
"""

import asyncio
import contextlib
import importlib
import io
import logging
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import stem
import stem.connection
import stem.control

from runtime.anon.errors import AnonFailed, ControlFailed
from runtime.anon.state import HostPort

LAUNCH_SECONDS = 30
CONTROL_SECONDS = 10.0
CONTROL_LINE = 4096

SILENT = "it gave no reason (0.4.9 does so for an option it does not know: look at VEILRUN_ANON_EXTRA_RC)"


logging.getLogger("stem").setLevel(logging.WARNING)  # below, it quotes what is sent: keys too


def load_sdk(binary: Path) -> ModuleType:
    """The SDK, for the daemon at `binary`."""
    with tempfile.TemporaryDirectory() as home, _environment("HOME", home):
        place = Path(home) / ".anyone_protocol_sdk" / "bin" / "anon"
        place.parent.mkdir(parents=True)
        place.symlink_to(binary)
        return importlib.import_module("anyone_protocol_sdk")


def launch(binary: Path, anonrc: Path) -> Any:
    """Start the daemon and return the SDK's `Process` once it runs; it has not bootstrapped yet.

    Only in the main thread (the SDK's time-out is an alarm). The daemon ends by itself when this process is gone.

    Raises: AnonFailed with the daemon's own reason.
    """
    sdk = load_sdk(binary)
    said: list[str] = []
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return sdk.Process.launch_anon(
                anon_cmd=str(binary),
                args=["--defaults-anonrc", os.devnull],
                anonrc_path=str(anonrc),
                completion_percent=0,
                init_msg_handler=said.append,
                timeout=LAUNCH_SECONDS,
                take_ownership=True,
            )
    except OSError as error:
        raise AnonFailed(f"anon did not start: {_reason(said) or SILENT}") from error


def stop(process: Any) -> None:
    """End the daemon and wait for it."""
    with contextlib.redirect_stdout(io.StringIO()):
        process.stop()


def _reason(said: list[str]) -> str:
    """The daemon's last complaint, without its time stamp."""
    complaints = [line for line in said if "[err]" in line or "[warn]" in line]
    return complaints[-1].partition("] ")[2].strip() if complaints else ""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How far the daemon is on its way into the network: 100 = circuits can be built. `phase`: what it does now."""

    percent: int
    phase: str


class Control:
    """The daemon's control port, through the SDK. One question at a time; each bounded by CONTROL_SECONDS."""

    def __init__(self, control: Any, controller: stem.control.Controller) -> None:
        self._sdk = control
        self._controller = controller
        self._turn = asyncio.Lock()

    async def version(self) -> str:
        """As the daemon says it: "0.4.9.11-live". Raises: ControlFailed."""
        return (await self.get_info("version")).split(" ")[0]

    async def bootstrap(self) -> Bootstrap:
        """Raises: ControlFailed."""
        said = await self.get_info("status/bootstrap-phase")
        fields = dict(part.split("=", 1) for part in _words(said) if "=" in part)
        phase = fields.get("SUMMARY", fields.get("TAG", ""))
        if "WARNING" in fields:
            phase = f"{phase} ({fields['WARNING']})"
        return Bootstrap(int(fields.get("PROGRESS", "0")), phase)

    async def traffic(self) -> tuple[int, int]:
        """Bytes read and written since the daemon started. Raises: ControlFailed."""
        return int(await self.get_info("traffic/read")), int(await self.get_info("traffic/written"))

    async def get_info(self, keyword: str) -> str:
        """What GETINFO says. Raises: ControlFailed."""
        return str(await self._ask(self._sdk.get_info, keyword))

    async def message(self, line: str) -> str:
        """Send a command and return the answer's last line. Raises: ControlFailed, also if the daemon refuses it."""
        answer = await self._ask(self._sdk.msg, line)
        if any(not code.startswith("2") for code, _, _ in answer.content()):
            verb = line.split(" ", 1)[0]
            raise ControlFailed(f"the daemon refuses {verb}: {str(answer).strip()[:200]}")
        return str(answer)

    def on_end(self, tell: Callable[[], None]) -> None:
        """Call `tell` on the event loop once the connection is gone, which it is when the daemon is."""
        loop = asyncio.get_running_loop()

        def changed(_: object, state: str, __: float) -> None:
            if state == stem.control.State.CLOSED:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                    loop.call_soon_threadsafe(tell)

        self._controller.add_status_listener(changed)
        if not self._controller.is_alive():
            tell()

    async def on_published(self, services: int, tell: Callable[[], None]) -> None:
        """Call `tell` on the event loop once so many services can be found by clients.

        A service uploads two descriptors, for this time period and the next (rend-spec-v3, section 2.2.1).

        Raises: ControlFailed.
        """
        loop = asyncio.get_running_loop()
        uploads: Counter[str] = Counter()

        def heard(event: Any) -> None:
            if event.action == stem.HSDescAction.UPLOADED:
                was_done = _found(uploads) == services
                uploads[event.address] += 1
                if not was_done and _found(uploads) == services:
                    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                        loop.call_soon_threadsafe(tell)

        await self._ask(self._controller.add_event_listener, heard, stem.control.EventType.HS_DESC)

    async def _ask(self, question: Callable[..., Any], *arguments: Any) -> Any:
        try:
            async with self._turn, asyncio.timeout(CONTROL_SECONDS):
                return await asyncio.to_thread(question, *arguments)
        except TimeoutError as error:
            raise ControlFailed("the daemon does not answer on its control port") from error
        except (stem.ControllerError, ValueError) as error:
            raise ControlFailed(f"the daemon's control port: {error or type(error).__name__}") from error


@contextlib.asynccontextmanager
async def connected(
    binary: Path, control: HostPort, cookie: Path | None = None, *, is_owner: bool = False
) -> AsyncIterator[Control]:
    """The daemon's control port, authenticated by its cookie file.

    cookie: where that file is; None = where the daemon says. is_owner: the daemon ends with this connection. Events are
    told to an owner only: stem does not notice an authentication that is not its own, and its own may take ownership.

    Raises: ControlFailed.
    """

    def connect() -> tuple[Any, stem.control.Controller]:
        controller = stem.control.Controller.from_port(*control)
        sdk_control = load_sdk(binary).Control(controller)
        try:
            if is_owner:
                sdk_control.authenticate()
                controller.msg("TAKEOWNERSHIP")
            else:
                file = cookie or stem.connection.get_protocolinfo(controller).cookie_path
                stem.connection.authenticate_safecookie(controller, str(file))
        except BaseException:
            controller.close()
            raise
        return sdk_control, controller

    try:
        async with asyncio.timeout(CONTROL_SECONDS):
            await _greet(control)  # stem would wait for ever, in a thread that nobody can end
            sdk_control, controller = await asyncio.to_thread(connect)
    except TimeoutError as error:
        raise ControlFailed(f"the daemon does not answer on its control port {control[0]}:{control[1]}") from error
    except (stem.ControllerError, stem.connection.AuthenticationFailure, OSError) as error:
        raise ControlFailed(f"no way into the daemon's control port {control[0]}:{control[1]}: {error}") from error
    try:
        yield Control(sdk_control, controller)
    finally:
        await asyncio.to_thread(controller.close)


async def _greet(control: HostPort) -> None:
    """Whether something there speaks the control protocol (control-spec.txt, PROTOCOLINFO), now.

    Raises: OSError, also if it speaks another one.
    """
    reader, writer = await asyncio.open_connection(*control)
    try:
        writer.write(b"PROTOCOLINFO 1\r\n")
        if not (await reader.read(CONTROL_LINE)).startswith(b"250"):
            raise ConnectionError("what listens there is no anon")
    finally:
        writer.transport.abort()


def _found(uploads: Counter[str]) -> int:
    return sum(count >= 2 for count in uploads.values())


def _words(text: str) -> list[str]:
    """Split at spaces outside quotes; quotes removed."""
    words, word, quoted = [], "", False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif letter == " " and not quoted:
            words.append(word)
            word = ""
        else:
            word += letter
    return [*words, word]


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
