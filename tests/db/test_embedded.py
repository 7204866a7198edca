"""The embedded server survives what operators do to it."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from db.embedded import embedded_database, resolve_database
from db.errors import DatabaseVersionMismatch, UnsafeFolder

pytestmark = pytest.mark.slow

USER = """
import sys
from pathlib import Path
from db.embedded import embedded_database
with embedded_database(Path(sys.argv[1])) as dsn:
    print(dsn, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def state() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="veilrun-state-"))
    folder.chmod(0o711)  # as root, the server runs as another user
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def using(state: Path, **options: object) -> "subprocess.Popen[str]":
    """Another process that uses the server until its standard input closes."""
    command = [sys.executable, "-c", USER, str(state)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql://")
    return process  # type: ignore[no-any-return]


def server_pid(state: Path) -> int:
    return int(next(state.rglob("postmaster.pid")).read_text().splitlines()[0])


def is_running(pid: int) -> bool:
    """Whether the process turns; one that ended but was not collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_keeps_what_was_written_and_stops_with_its_last_user(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept (word text)")
        pid = server_pid(state)
    assert not is_running(pid)

    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_it_listens_on_no_network_address_and_its_folders_are_private(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        data = next(state.rglob("PG_VERSION")).parent
        sockets = Path(str(connection.info.host))

    assert data.stat().st_mode & 0o077 == 0
    assert sockets.stat().st_mode & 0o077 == 0


def test_a_second_process_shares_the_server_and_may_outlive_the_first(state: Path) -> None:
    with embedded_database(state) as dsn:
        pid = server_pid(state)
        other = using(state)
    assert is_running(pid)
    psycopg.connect(dsn).close()

    other.communicate("\n")

    assert not is_running(pid)


def test_after_kill_9_of_its_starter_the_server_stays_and_is_adopted(state: Path) -> None:
    starter = using(state)
    pid = server_pid(state)
    starter.kill()
    starter.wait()
    assert is_running(pid)

    with embedded_database(state):
        assert server_pid(state) == pid

    assert not is_running(pid)


def test_after_kill_9_of_the_server_it_starts_beside_its_stale_lock(state: Path) -> None:
    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        connection.execute("create table kept (word text)")
        connection.commit()
        os.kill(server_pid(state), signal.SIGKILL)
        stale = next(state.rglob("postmaster.pid"))
    lines = stale.read_text().splitlines()
    stale.write_text("\n".join([str(os.getpid()), *lines[1:]]))  # the pid belongs to somebody else by now

    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_two_that_start_at_once_get_one_server(state: Path) -> None:
    command = [sys.executable, "-c", USER, str(state)]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")

    assert len(list(state.rglob("postmaster.pid"))) == 1
    for process in both:
        process.communicate("\n")


@pytest.mark.parametrize("name", ["x" * 120, "odd %20 ,&?'\"ü"])
def test_any_path_will_do(state: Path, name: str) -> None:
    folder = state / name

    with embedded_database(folder) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_data_of_another_major_version_is_refused(state: Path) -> None:
    with embedded_database(state):
        version = next(state.rglob("PG_VERSION"))
    version.write_text("9\n")

    with pytest.raises(DatabaseVersionMismatch, match="was made by PostgreSQL 9"), embedded_database(state):
        pass


def test_a_socket_folder_that_others_made_is_refused(state: Path) -> None:
    folder = state / ("y" * 120)
    with embedded_database(folder) as dsn:
        sockets = Path(psycopg.conninfo.conninfo_to_dict(dsn)["host"])  # type: ignore[arg-type]
    sockets.chmod(0o777)

    with pytest.raises(UnsafeFolder, match="private folder"), embedded_database(folder):
        pass
    shutil.rmtree(sockets)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_an_unprivileged_user_runs_it_too(state: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(state, nobody.pw_uid, nobody.pw_gid)

    child = os.fork()  # the interpreter itself may lie where `nobody` cannot start it
    if child == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        with embedded_database(state) as dsn:
            psycopg.connect(dsn).close()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    owner = next(state.rglob("PG_VERSION")).stat().st_uid

    assert status == 0
    assert owner == nobody.pw_uid


@pytest.mark.skipif(os.getuid() != 0, reason="only root has folders that the server's user cannot reach")
def test_root_may_keep_its_state_in_a_folder_that_only_root_reaches(state: Path) -> None:
    state.chmod(0o700)

    with embedded_database(state) as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("select 1").fetchone() == (1,)

    assert state.stat().st_mode & 0o777 == 0o700


def test_an_address_of_the_operators_own_comes_first(state: Path) -> None:
    with resolve_database("postgresql://db.example/veilrun", state) as dsn:
        assert dsn == "postgresql://db.example/veilrun"

    assert list(state.iterdir()) == []
