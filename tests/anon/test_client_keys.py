import base64
from pathlib import Path

import pytest

from runtime.anon.address import HiddenAddress
from runtime.anon.client_keys import ClientKeyInvalid, read_client_keys
from runtime.registry import BackendConfig

ADDRESS = HiddenAddress.of(bytes(32), ".anon")
KEY = bytes(range(32))
TEXT = base64.b32encode(KEY).decode().rstrip("=")


def backend(file: Path | None, url: str = f"http://{ADDRESS}") -> BackendConfig:
    return BackendConfig("gpu-a", url, "anon", client_key_file=file)


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    file = folder / "gpu-a.key"
    file.write_text(text)
    file.chmod(mode)
    return file


@pytest.mark.parametrize("text", [TEXT, TEXT.lower() + "\n", f"{ADDRESS.label}:descriptor:x25519:{TEXT}\n"])
def test_a_key_is_read_as_it_was_printed(tmp_path: Path, text: str) -> None:
    assert read_client_keys([backend(key_file(tmp_path, text)), BackendConfig("gpu-b", "http://gpu")]) == {ADDRESS: KEY}


@pytest.mark.parametrize("text", ["", "not a key", TEXT[:-1], TEXT * 2, "1" * 52])
def test_what_is_no_key_is_refused_and_never_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(ClientKeyInvalid, match="veilrun anon authorize") as raised:
        read_client_keys([backend(key_file(tmp_path, text))])

    assert not text or text not in str(raised.value)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClientKeyInvalid, match="chmod 600"):
        read_client_keys([backend(key_file(tmp_path, TEXT, 0o640))])


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClientKeyInvalid, match=r"nowhere\.key"):
        read_client_keys([backend(tmp_path / "nowhere.key")])


def test_a_wrong_address_names_its_backend(tmp_path: Path) -> None:
    with pytest.raises(ClientKeyInvalid, match="gpu-a: it has 5 characters"):
        read_client_keys([backend(key_file(tmp_path, TEXT), "http://short.anon")])
