"""`veilrun anon install` as a person or a script runs it."""

import json
from pathlib import Path

from tests.anon.fakes import fake_anon, write
from tests.cli.conftest import Shell


async def test_the_anon_on_the_path_is_taken_first(shell: Shell, tmp_path: Path) -> None:
    programs = write(tmp_path / "programs" / "anon", fake_anon("0.4.9.11-live")).parent
    environment = {"HOME": str(tmp_path), "PATH": f"{programs}:/bin"}

    first = await shell.run("anon", "install", **environment)
    second = await shell.run("anon", "install", "--source", "existing", **environment)

    assert first.out.splitlines() == [
        f"anon 0.4.9.11-live installed: {tmp_path}/.anyone_protocol_sdk/bin/anon",
        "It reaches hidden services whose address ends in .anon",
    ]
    assert "already installed (--force replaces it)" in second.out


async def test_scripts_are_told_what_was_done(shell: Shell, tmp_path: Path) -> None:
    binary = write(tmp_path / "anon", fake_anon("0.4.10.2"))

    done = await shell.run("anon", "install", "--from", binary, "--json", HOME=str(tmp_path))

    assert json.loads(done.out) == {
        "binary": f"{tmp_path}/.anyone_protocol_sdk/bin/anon",
        "version": "0.4.10.2",
        "suffix": ".anyone",
        "installed": True,
    }


async def test_a_failure_is_one_line_that_says_what_to_do(shell: Shell, tmp_path: Path) -> None:
    done = await shell.run("anon", "install", "--source", "existing", HOME=str(tmp_path), PATH=str(tmp_path))

    assert done.status == 1
    assert done.complaint.startswith("error: there is no anon on PATH: name it with --from")


async def test_two_sources_at_once_are_wrong_usage(shell: Shell) -> None:
    assert (await shell.run("anon", "install", "--from", "anon", "--tarball", "x.tgz")).status == 2
