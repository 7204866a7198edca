"""Starts and stops the server of one place. The caller holds the place's start lock."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg

from db.embedded.lock import try_exclusive
from db.embedded.place import NAME, Place
from db.errors import DatabaseVersionMismatch, EmbeddedServerFailed

START_SECONDS = 60.0
STOP_SECONDS = 30.0  # for a clean shutdown, then it is told to drop everything
QUIT_SECONDS = 5.0
LOOK_SECONDS = 0.01
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": "/"}

SERVER_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    # What the server writes about itself is logged, what a statement did wrong is not: prompts may be in it.
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


def bring_up(place: Place) -> None:
    """Return when the server takes connections and has our database.

    Raises: EmbeddedServerFailed, DatabaseVersionMismatch.
    """
    deadline = time.monotonic() + START_SECONDS
    while not _is_up(place):
        with try_exclusive(place.server_lock) as lock:
            if lock is not None:
                _prepare(place)
                _wait_until_up(place, _start(place, lock), deadline)
                return
        # A server whose starter was killed still starts, or the children of a killed server still end.
        if time.monotonic() > deadline:
            raise EmbeddedServerFailed(f"processes of an earlier server in {place.data} neither serve nor end")
        time.sleep(LOOK_SECONDS)


def stop(place: Place) -> None:
    """End the server if it runs here; one that does not end is left to the next start, which adopts it."""
    pid = _server_pid(place)
    if pid is None:
        return
    for how, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, QUIT_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)  # SIGINT: roll back, flush, end; SIGQUIT: end, and recover at the next start
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _is_locked(place) or not _is_server(pid, place):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)  # it was our own child
                return
            time.sleep(LOOK_SECONDS)


def has_ended(place: Place) -> bool:
    """Whether the server runs no more, and neither do its children."""
    return not _is_locked(place)


def _server_pid(place: Place) -> int | None:
    """The pid of the running server, or None. Never that of another program: a stale file proves nothing."""
    try:
        pid = int((place.data / "postmaster.pid").read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return pid if _is_locked(place) and _is_server(pid, place) else None


def _is_locked(place: Place) -> bool:
    """Whether the server runs, or children of a killed one still do."""
    with try_exclusive(place.server_lock) as lock:
        return lock is None


def _is_server(pid: int, place: Place) -> bool:
    """Whether process `pid` is the server: in another container, where it may run, pids mean other processes."""
    processes = Path("/proc")
    if not processes.is_dir():
        return True  # not Linux: no containers that could share the folder
    try:
        return os.fsencode(place.data) in (processes / str(pid) / "cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return False


def _prepare(place: Place) -> None:
    """Make the data folder, or check that the one there fits. Whole or not at all, whenever the process is killed."""
    if place.data.exists():
        ours = _run(place, "postgres", "--version").split()[2].partition(".")[0]
        theirs = (place.data / "PG_VERSION").read_text().strip()
        if ours != theirs:
            raise DatabaseVersionMismatch(
                f"{place.data} was made by PostgreSQL {theirs}, this is {ours}: dump it there and restore it here"
            )
        return
    unfinished = place.base / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if place.owner:
        os.chown(unfinished, place.owner.pw_uid, place.owner.pw_gid)
    options = ("--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C")
    _run(place, "initdb", "--pgdata", str(unfinished), "--username", NAME, *options)
    client = pwd.getpwuid(os.getuid()).pw_name
    (unfinished / "pg_hba.conf").write_text("local all all peer map=veilrun\n")
    (unfinished / "pg_ident.conf").write_text(f'veilrun "{client}" {NAME}\n')
    unfinished.rename(place.data)


def _run(place: Place, program: str, *arguments: str) -> str:
    command = [str(place.binaries / "bin" / program), *arguments]
    try:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, cwd="/", env=ENVIRONMENT, capture_output=True, text=True, check=False, **_as_owner(place)
        )
    except OSError as error:
        raise EmbeddedServerFailed(f"{command[0]} cannot be run: {error}: set DATABASE_URL instead") from error
    if done.returncode:
        raise EmbeddedServerFailed(f"{program} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _as_owner(place: Place) -> dict[str, Any]:
    if place.owner is None:
        return {}
    return {"user": place.owner.pw_uid, "group": place.owner.pw_gid, "extra_groups": []}


def _start(place: Place, lock: int) -> "subprocess.Popen[bytes]":
    """Start the server, which inherits `lock`. So pid files that are there now are stale, whatever pids they name."""
    for stale in (place.data / "postmaster.pid", *place.sockets.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)
    settings = {**SERVER_SETTINGS, "unix_socket_directories": str(place.sockets)}
    command = [str(place.binaries / "bin" / "postgres"), "-D", str(place.data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with place.log.open("wb") as log:
        return subprocess.Popen(
            command,
            cwd="/",
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C in a terminal is for its users, not for the server
            pass_fds=(lock,),
            **_as_owner(place),
        )


def _wait_until_up(place: Place, server: "subprocess.Popen[bytes]", deadline: float) -> None:
    while not _is_up(place):
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            server.wait()
            tail = place.log.read_text(errors="replace").strip()[-2000:]
            raise EmbeddedServerFailed(f"the embedded PostgreSQL did not start: {tail}")
        time.sleep(LOOK_SECONDS)


def _is_up(place: Place) -> bool:
    """Ready, with our database in it. Line 8 of postmaster.pid says "ready" when connections are let in."""
    try:
        if "ready" not in (place.data / "postmaster.pid").read_text():
            return False
        with psycopg.connect(place.dsn_of("postgres"), autocommit=True, connect_timeout=5) as connection:
            if not connection.execute("select 1 from pg_database where datname = %s", (NAME,)).fetchone():
                connection.execute(f'create database "{NAME}"')
    except (FileNotFoundError, psycopg.OperationalError):
        return False
    return True
