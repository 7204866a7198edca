"""The file is watched: whatever way it was changed, whatever stands in it, and whatever happens on the way."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from runtime.registry import LiveRegistry, Registry, RegistryWatch, fingerprint, load_registry
from tests.worker.yard import eventually

Written = Callable[[str | bytes], Path]

OLD = "version: 1\nplugins: {flux: {enabled: true}}\n"
NEW = "version: 1\nplugins: {sd3: {enabled: true}}\n"


async def synced(registry: Registry) -> Mapping[str, int]:
    if "wan" in registry.commands:
        raise ArithmeticError("nobody expects this")
    return dict.fromkeys(registry.commands, 1)


@contextlib.asynccontextmanager
async def watched(path: Path) -> AsyncIterator[LiveRegistry]:
    live = LiveRegistry(load_registry(path))
    watch = RegistryWatch(live, load=lambda: load_registry(path), sync=synced, seconds=0.01)
    task = asyncio.create_task(watch.run())
    try:
        yield live
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until_commands(live: LiveRegistry, *names: str) -> None:
    await eventually(lambda: asyncio.sleep(0, tuple(live.command_ids) == names))


async def until_refused(live: LiveRegistry) -> str:
    await eventually(lambda: asyncio.sleep(0, live.problem is not None))
    return live.problem or ""


def in_place(path: Path) -> None:
    path.write_text(NEW)


def by_renaming(path: Path) -> None:
    beside = path.with_name(".new")
    beside.write_text(NEW)
    os.replace(beside, path)


def with_a_backup(path: Path) -> None:
    path.rename(path.with_name("backup~"))
    path.write_text(NEW)


def by_another_link(path: Path) -> None:
    """As Kubernetes changes a ConfigMap: the folder that the file is seen through is another one."""
    folder = path.parent / "..new"
    folder.mkdir()
    (folder / path.name).write_text(NEW)
    data = path.parent / "..data"
    data.symlink_to(path.parent / "..old")
    os.replace(path, path.parent / "kept")
    path.symlink_to(data / path.name)
    swap = path.parent / "..tmp"
    swap.symlink_to(folder)
    os.replace(swap, data)


@pytest.mark.parametrize("change", [in_place, by_renaming, with_a_backup, by_another_link])
async def test_however_it_is_saved_it_takes_effect(written: Written, change: Callable[[Path], None]) -> None:
    path = written(OLD)
    async with watched(path) as live:
        change(path)
        await until_commands(live, "sd3")

    assert live.problem is None


async def test_a_file_that_is_away_changes_nothing_until_it_is_back(written: Written) -> None:
    path = written(OLD)
    async with watched(path) as live:
        path.unlink()
        assert "the file is not there" in await until_refused(live)
        assert list(live.current.commands) == ["flux"]

        path.write_text(NEW)
        await until_commands(live, "sd3")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version: 1\nbackends: {{ backends }}\n", "a bracket where a word is expected"),
        ("version: 1\nplugins: {wan: {enabled: true}}\n", "ArithmeticError while it was read"),
    ],
)
async def test_whatever_it_trips_over_the_watching_goes_on(written: Written, content: str, said: str) -> None:
    path = written(OLD)
    async with watched(path) as live:
        path.write_text(content)
        assert said in await until_refused(live)
        assert list(live.current.commands) == ["flux"]

        path.write_text(NEW)
        await until_commands(live, "sd3")


def test_a_right_that_is_given_is_a_change(written: Written) -> None:
    path = written(OLD)
    before = fingerprint(path)
    path.chmod(0o600)

    assert fingerprint(path) != before
