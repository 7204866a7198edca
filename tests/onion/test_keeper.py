"""The process that keeps anon: one for a machine, started again when it dies, told about in a file."""

import asyncio
import base64
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from runtime.anon.address import HiddenAddress
from runtime.anon.anonrc import private_folder
from runtime.anon.circuits import circuits
from runtime.anon.keeper import AnonKeeper
from runtime.anon.sdk import connected
from runtime.anon.state import AnonState, read_state, want_new_circuits
from runtime.settings import Settings
from runtime.transport import AnonTransport, NotAuthorized
from tests.onion.network import PrivateNetwork

pytestmark = [pytest.mark.onion, pytest.mark.slow]

SECONDS = 60.0


async def until(truth: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS):
        while not truth():  # noqa: ASYNC110 - a file in another process's hands tells nobody that it changed
            await asyncio.sleep(0.05)


class Kept:
    """A keeper that runs in this process."""

    def __init__(
        self, network: PrivateNetwork, folder: Path, *, binary: Path | None = None, **settings: object
    ) -> None:
        self.stop = asyncio.Event()
        self.states: list[AnonState] = []
        private_folder(folder)
        self.settings = Settings(
            state_dir=folder,
            anon_binary=binary or network.binary,
            anon_accept_terms=True,
            anon_extra_rc=network.extra_rc(folder),
            **settings,  # type: ignore[arg-type]
        )
        network.seed(private_folder(private_folder(self.settings.anon_dir) / "data"))
        self.keys: dict[HiddenAddress, bytes] = {}

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Kept"]:
        task = asyncio.create_task(AnonKeeper(self.settings, self.keys, self.states.append).run(self.stop))
        try:
            yield self
        finally:
            self.stop.set()
            await task

    @property
    def state(self) -> AnonState | None:
        return read_state(self.settings.anon_dir)

    @property
    def is_ready(self) -> bool:
        return self.state is not None and self.state.is_ready

    async def ready(self) -> AnonState:
        await until(lambda: self.is_ready)
        assert self.state is not None
        return self.state

    def daemons(self) -> list[psutil.Process]:
        return [child for child in psutil.Process().children(recursive=True) if self._is_ours(child)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            return str(self.settings.anon_dir / "anonrc") in process.cmdline()
        return False


@pytest.fixture
async def kept(network: PrivateNetwork, tmp_path: Path) -> AsyncIterator[Kept]:
    async with Kept(network, tmp_path / "state").running() as keeper:
        await keeper.ready()
        yield keeper


async def test_bootstrap_is_told_step_by_step_and_the_daemon_ends_with_its_keeper(kept: Kept) -> None:
    percents = [state.bootstrap_percent for state in kept.states]
    (daemon,) = kept.daemons()

    kept.stop.set()
    await until(lambda: not daemon.is_running())

    assert percents[0] < 100 == percents[-1]
    assert percents == sorted(percents)
    assert kept.states[-1].version.startswith("0.4.9")
    await until(lambda: kept.state is None)


async def test_a_daemon_that_is_killed_comes_back_on_the_same_ports(kept: Kept) -> None:
    before = await kept.ready()
    os.kill(kept.daemons()[0].pid, signal.SIGKILL)

    await until(lambda: not kept.is_ready)
    after = await kept.ready()

    assert (after.socks, after.control) == (before.socks, before.control)


async def test_what_it_writes_is_for_this_user_alone_and_outlives_it(kept: Kept) -> None:
    folder = kept.settings.anon_dir

    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "data").stat().st_mode & 0o077 == 0
    assert (folder / "anonrc").stat().st_mode & 0o077 == 0
    assert (folder / "data" / "control_auth_cookie").stat().st_mode & 0o077 == 0


async def test_two_keepers_of_one_machine_share_one_daemon_and_the_second_takes_over(
    kept: Kept, network: PrivateNetwork
) -> None:
    second = Kept(network, kept.settings.state_dir)
    async with second.running():
        await asyncio.sleep(1)  # time in which it could do wrong
        assert len(kept.daemons()) == 1

        kept.stop.set()
        await until(lambda: second.states)
        await second.ready()
        assert len(second.daemons()) == 1


async def test_a_second_keeper_that_ends_while_it_stands_by_leaves_the_first_one_alone(
    kept: Kept, network: PrivateNetwork
) -> None:
    second = Kept(network, kept.settings.state_dir)
    async with second.running():
        await asyncio.sleep(0.5)  # it waits for its turn by then

    assert kept.is_ready


async def test_a_daemon_that_hangs_is_replaced(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.anon.sdk.CONTROL_SECONDS", 1.0)
    (hung,) = kept.daemons()
    hung.suspend()

    await until(lambda: not kept.is_ready)
    await kept.ready()

    assert not hung.is_running()
    assert len(kept.daemons()) == 1


async def test_a_state_that_cannot_be_written_costs_the_daemon_nothing(kept: Kept) -> None:
    (daemon,) = kept.daemons()
    file = kept.settings.anon_dir / "state.json"
    file.unlink()
    file.mkdir()
    told = len(kept.states)

    await until(lambda: len(kept.states) > told)
    file.rmdir()
    await kept.ready()

    assert kept.daemons() == [daemon]


async def test_a_binary_that_is_away_for_a_while_is_waited_for(network: PrivateNetwork, tmp_path: Path) -> None:
    binary = tmp_path / "anon"
    binary.symlink_to(network.binary)
    kept = Kept(network, tmp_path / "state", binary=binary)
    async with kept.running():
        await kept.ready()
        binary.unlink()
        os.kill(kept.daemons()[0].pid, signal.SIGKILL)

        await until(lambda: kept.state is not None and "there is no file" in kept.state.phase)
        binary.symlink_to(network.binary)
        await kept.ready()


KEEPER = """
import asyncio, sys
from runtime.anon.keeper import AnonKeeper
from runtime.settings import Settings
asyncio.run(AnonKeeper(Settings.model_validate_json(sys.argv[1]), {}).run(asyncio.Event()))
"""


async def test_of_a_keeper_that_is_killed_no_state_is_believed_and_no_daemon_stays(
    network: PrivateNetwork, tmp_path: Path
) -> None:
    kept = Kept(network, tmp_path / "state")
    keeper = await asyncio.create_subprocess_exec(sys.executable, "-c", KEEPER, kept.settings.model_dump_json())
    await kept.ready()
    (daemon,) = kept.daemons()

    keeper.kill()
    await keeper.wait()

    assert (kept.settings.anon_dir / "state.json").exists()
    assert kept.state is None
    await until(lambda: not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE)


async def test_its_socks_port_refuses_what_is_no_hidden_service(kept: Kept) -> None:
    host, port = (await kept.ready()).socks
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"\x05\x01\x00")
    await reader.readexactly(2)
    name = b"example.org"
    writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + (80).to_bytes(2, "big"))

    async with asyncio.timeout(10):
        reply = await reader.read(10)
    writer.close()

    assert reply[1] != 0


async def test_new_circuits_are_made_when_somebody_asks(kept: Kept) -> None:
    folder = kept.settings.anon_dir
    want_new_circuits(folder)

    await until(lambda: not (folder / "new-circuits-wanted").exists())


async def test_a_service_that_wants_a_key_opens_to_the_one_in_the_registry(
    network: PrivateNetwork, tmp_path: Path
) -> None:
    key = X25519PrivateKey.generate()
    public = base64.b32encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    async with await asyncio.start_server(_hello, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        service = await asyncio.to_thread(network.service, port, authorized={"bot": public})

        stranger = Kept(network, tmp_path / "stranger")
        async with stranger.running():
            await stranger.ready()
            with pytest.raises(NotAuthorized):
                await _ask(stranger, service.address)

        friend = Kept(network, tmp_path / "friend")
        friend.keys[HiddenAddress.parse(service.address)] = key.private_bytes_raw()
        async with friend.running():
            await friend.ready()
            assert await _ask(friend, service.address) == b"hello"
            want_new_circuits(friend.settings.anon_dir)  # a clean slate takes keys away that were given by control
            await until(lambda: not (friend.settings.anon_dir / "new-circuits-wanted").exists())
            await asyncio.sleep(0.5)
            assert await _ask(friend, service.address) == b"hello"

            control = (await friend.ready()).control
            async with connected(network.binary, control) as asked:
                found = await circuits(asked)
            assert any(circuit.carries_traffic for circuit in found)
        await asyncio.to_thread(service.stop)


async def test_a_daemon_that_runs_already_is_watched_and_left_running(network: PrivateNetwork, tmp_path: Path) -> None:
    client = await asyncio.to_thread(network.client)
    attached = Kept(
        network,
        tmp_path / "state",
        anon_socks=client.socks,
        anon_control=client.control_address,
        anon_cookie=client.cookie_file,
    )
    async with attached.running():
        state = await attached.ready()
        assert state.socks == client.socks
        assert attached.daemons() == []

    assert client.ask("GETINFO version")
    await asyncio.to_thread(client.stop)


async def _hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    await writer.drain()
    writer.close()


async def _ask(kept: Kept, address: str) -> bytes:
    transport = AnonTransport(kept.settings.anon_dir)
    try:
        async with transport.request("GET", f"http://{address}/") as reply:
            return await reply.read()
    finally:
        await transport.close()
