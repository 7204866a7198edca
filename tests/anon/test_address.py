"""Addresses: the checksum ties the 56 characters to their suffix, and the suffix to the daemon's series."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.anon.address import SERIES, AddressInvalid, HiddenAddress, required_series, suffix_of

KEYS = st.binary(min_size=32, max_size=32)
SUFFIXES = st.sampled_from(sorted(SERIES))


def test_an_address_made_by_the_real_daemon_is_right() -> None:
    made_by_0_4_9 = "4pejn3qnethart6diq5myzjvimu3pcuovcrmksvtnjqzbbdykg7l57yd.anon"

    assert str(HiddenAddress.parse(made_by_0_4_9)) == made_by_0_4_9


@given(KEYS, SUFFIXES)
def test_every_address_of_a_key_is_right_in_any_case(key: bytes, suffix: str) -> None:
    address = HiddenAddress.of(key, suffix)

    assert HiddenAddress.parse(str(address)) == HiddenAddress.parse(str(address).upper()) == address


@given(KEYS, SUFFIXES, st.integers(0, 55), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_one_changed_character_is_noticed(key: bytes, suffix: str, place: int, letter: str) -> None:
    label = HiddenAddress.of(key, suffix).label
    changed = label[:place] + letter + label[place + 1 :]

    if changed != label:
        try:
            HiddenAddress.parse(changed + suffix)
        except AddressInvalid:
            return
        # two bytes of checksum let one change in 65,536 pass: then it is another service's right address
        assert HiddenAddress.parse(changed + suffix).label == changed


@given(KEYS)
def test_swapping_the_suffix_never_works(key: bytes) -> None:
    with pytest.raises(AddressInvalid, match="suffix was changed by hand"):
        HiddenAddress.parse(HiddenAddress.of(key, ".anon").label + ".anyone")


@pytest.mark.parametrize("host", ["", ".anon", "anon", "x.anon", "a" * 56, f"{'a' * 56}.onion", f"{'!' * 56}.anon"])
def test_anything_else_is_refused_with_a_reason(host: str) -> None:
    with pytest.raises(AddressInvalid):
        HiddenAddress.parse(host)


@pytest.mark.parametrize(
    ("version", "suffix"),
    [
        ("0.4.9.11-live", ".anon"),
        ("0.4.9.13", ".anon"),
        ("0.4.10.2", ".anyone"),
        ("0.4.10.2-live", ".anyone"),
        ("0.5.0.1", ".anyone"),
    ],
)
def test_each_series_of_daemons_knows_one_suffix(version: str, suffix: str) -> None:
    address = HiddenAddress.of(bytes(32), suffix)

    assert suffix_of(version) == suffix
    assert address.suits(version)
    assert version.startswith((required_series(suffix), "0.5"))
