from pathlib import Path

import pytest

from runtime.anon.client_keys import read_client_key
from runtime.anon.clients import ClientNameInvalid, Clients, UnknownClient
from runtime.anon.keys import KeyPair


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path / "service")


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "service" / "authorized_clients").iterdir())


def test_a_locked_service_lets_nobody_in_though_nobody_is_named(clients: Clients, tmp_path: Path) -> None:
    clients.lock()

    assert clients.names() == []
    assert files(tmp_path) == ["nobody.auth"]  # an empty folder would let everybody in


def test_the_last_one_revoked_does_not_open_the_service(clients: Clients, tmp_path: Path) -> None:
    clients.authorize("bot")
    clients.revoke("bot")

    assert files(tmp_path) == ["nobody.auth"]


def test_only_the_public_part_stays_and_the_private_one_is_what_the_bot_reads(clients: Clients, tmp_path: Path) -> None:
    pair = clients.authorize("bot")
    stored = (tmp_path / "service" / "authorized_clients" / "bot.auth").read_text()
    key = tmp_path / "bot.key"
    key.write_text(pair.private)
    key.chmod(0o600)

    assert stored == f"descriptor:x25519:{pair.public}\n"
    assert len(read_client_key(key)) == 32
    assert pair.private not in repr(pair)


def test_files_and_folders_are_for_this_user_alone(clients: Clients, tmp_path: Path) -> None:
    clients.authorize("bot")

    for path in (tmp_path / "service").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", "nobody", "../bot", "a b", "x" * 40, ".bot"])
def test_a_name_that_cannot_be_a_file_is_refused(clients: Clients, name: str) -> None:
    with pytest.raises(ClientNameInvalid):
        clients.authorize(name)


def test_a_second_key_for_the_same_name_needs_a_revocation(clients: Clients) -> None:
    clients.authorize("bot")

    with pytest.raises(ClientNameInvalid, match="revoke it first"):
        clients.authorize("bot")


@pytest.mark.parametrize("name", ["bot", "nobody", "../bot"])
def test_nobody_can_be_revoked_who_is_not_there(clients: Clients, name: str) -> None:
    clients.authorize("other")

    with pytest.raises(UnknownClient, match="other"):
        clients.revoke(name)


def test_a_service_with_clients_is_not_opened_by_the_way(clients: Clients) -> None:
    clients.authorize("bot")

    with pytest.raises(ClientNameInvalid, match="bot only"):
        clients.open()


def test_a_service_is_opened_when_nobody_is_named(clients: Clients, tmp_path: Path) -> None:
    clients.lock()
    clients.open()

    assert files(tmp_path) == []


def test_no_two_pairs_are_alike() -> None:
    assert KeyPair.new().private != KeyPair.new().private
