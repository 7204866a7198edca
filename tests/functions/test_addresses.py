"""Where result webhooks may go."""

import socket

import pytest

from runtime.functions.addresses import NotPublic, Policy, check_url, guarded_socket, is_public
from runtime.functions.errors import Invalid


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8", "2002:0808:0808::1"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1",
        "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::127.0.0.1", "2002:7f00:0001::1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2001:db8::1", "not an address", "",
    ],
)  # fmt: skip
def test_any_other_address_is_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("policy", ["public", "any"])
@pytest.mark.parametrize("url", ["https://example.org/hook?key=1", "https://example.org:8443", "https://8.8.8.8/"])
def test_https_to_somewhere_public_may_be_asked_for(url: str, policy: Policy) -> None:
    check_url(url, policy)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/hook", "https://10.0.0.1/", "https://[::1]/"])
def test_other_addresses_only_where_the_operator_says_so(url: str) -> None:
    check_url(url, "any")
    with pytest.raises(Invalid):
        check_url(url, "public")


@pytest.mark.parametrize(
    "url",
    [
        "", "example.org", "ftp://example.org", "file:///etc/passwd", "https://", "https://user:secret@example.org",
        "https://example.org:0", "https://example.org:99999", "https://[::1", "https://exa mple.org", "https://exämple.org",
        "https://example.org/\n", "https://" + "a" * 2048, "https://abc.onion/", "https://abc.anyone", "https://abc.anon.",
        "https://2130706433/", "https://127.1", "https://0x7f.1/", "https://127.0.0.0x1", "https://1.2.3.4.5/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(Invalid):
        check_url(url, "any")


def test_nothing_may_be_asked_for_where_webhooks_are_off() -> None:
    with pytest.raises(Invalid, match="off here"):
        check_url("https://example.org", "off")


def test_no_socket_is_made_for_an_address_that_is_not_public() -> None:
    with pytest.raises(NotPublic):
        guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443)))
    guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 443))).close()
