"""`veilrun anon install`: the official binary, put where the SDK looks for it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from runtime.anon import install as anon_install
from runtime.anon.errors import InstallFailed
from runtime.anon.package import FromNpm, FromTarball
from runtime.cli.output import AsJson, print_json, screen


class Source(StrEnum):
    """Where to look when no file is named."""

    EXISTING = "existing"
    NPM = "npm"


def install(
    path: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="A binary for this machine, or the folder that holds it."),
    ] = None,
    tarball: Annotated[
        Path | None,
        typer.Option("--tarball", metavar="FILE", help="The npm package as a file, for machines without npm."),
    ] = None,
    source: Annotated[
        Source | None,
        typer.Option(
            "--source",
            metavar="existing|npm",
            help="anon on PATH, or the npm package. Default: the first that is there.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the one that is installed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Install the anon binary for this user.

    It is taken from a file, from the anon on PATH, or from the npm package whose hash veilrun knows. Nothing is
    accepted on your behalf: anon runs only when VEILRUN_ANON_ACCEPT_TERMS is set.
    """
    if sum(given is not None for given in (path, tarball, source)) > 1:
        raise typer.BadParameter("give one of --from, --tarball, --source")
    installed = anon_install.install(_origin(path, tarball, source), force=force)
    if as_json:
        print_json(
            {
                "binary": installed.binary,
                "version": installed.version,
                "suffix": installed.suffix,
                "installed": installed.is_new,
            }
        )
        return
    state = "installed" if installed.is_new else "already installed (--force replaces it)"
    screen.print(f"anon {installed.version} {state}: {installed.binary}", soft_wrap=True)
    screen.print(f"It reaches hidden services whose address ends in {installed.suffix}")


def _origin(path: Path | None, tarball: Path | None, source: Source | None) -> anon_install.Origin:
    if path is not None:
        return anon_install.FromPath(path)
    if tarball is not None:
        return FromTarball(tarball)
    if source is Source.NPM:
        return FromNpm()
    existing = anon_install.on_path()
    if source is Source.EXISTING and existing is None:
        raise InstallFailed("there is no anon on PATH: name it with --from, or take it from npm with --source npm")
    return existing or FromNpm()
