from pathlib import Path

import pytest

from runtime.anon.anonrc import Common, ExtraLinesUnreadable, HiddenService, client_rc, service_rc, write_rc


@pytest.fixture
def common(tmp_path: Path) -> Common:
    return Common(tmp_path / "data", ("127.0.0.1", 1001), tmp_path / "anon")


def test_a_clients_socks_port_takes_hidden_services_only(common: Common) -> None:
    lines = client_rc(common, ("127.0.0.1", 1000)).splitlines()

    assert [line for line in lines if line.startswith("SocksPort")] == [
        "SocksPort 127.0.0.1:1000 ExtendedErrors OnionTrafficOnly KeepAliveIsolateSOCKSAuth"
    ]
    assert "ClientOnly 1" in lines


def test_the_way_out_has_a_port_of_its_own_and_only_when_asked_for(common: Common) -> None:
    lines = client_rc(common, ("127.0.0.1", 1000), ("127.0.0.1", 1002)).splitlines()

    assert "SocksPort 127.0.0.1:1002 ExtendedErrors NoOnionTraffic" in lines


def test_the_control_port_wants_the_cookie_and_the_log_holds_no_addresses(common: Common) -> None:
    lines = client_rc(common, ("127.0.0.1", 1000)).splitlines()

    assert {"ControlPort 127.0.0.1:1001", "CookieAuthentication 1", "SafeLogging 1"} <= set(lines)


def test_a_service_opens_no_socks_port_and_is_anonymous_unless_told_otherwise(common: Common, tmp_path: Path) -> None:
    service = HiddenService(tmp_path / "service", [(80, ("127.0.0.1", 8188)), (81, ("127.0.0.1", 8080))])

    hidden = service_rc(common, [service]).splitlines()
    quick = service_rc(common, [service], single_hop=True).splitlines()

    assert "SocksPort 0" in hidden
    assert [line for line in hidden if "HiddenServicePort" in line] == [
        "HiddenServicePort 80 127.0.0.1:8188",
        "HiddenServicePort 81 127.0.0.1:8080",
    ]
    assert set(quick) - set(hidden) == {"HiddenServiceSingleHopMode 1", "HiddenServiceNonAnonymousMode 1"}


def test_the_operators_lines_come_last(common: Common, tmp_path: Path) -> None:
    extra = tmp_path / "extra"
    extra.write_text("UseBridges 1\n")

    text = client_rc(Common(common.data_dir, common.control, common.binary, extra), ("127.0.0.1", 1000))

    assert text.endswith("\nUseBridges 1\n")


def test_a_file_of_more_lines_that_is_not_there_is_named(common: Common, tmp_path: Path) -> None:
    missing = Common(common.data_dir, common.control, common.binary, tmp_path / "nowhere")

    with pytest.raises(ExtraLinesUnreadable, match="nowhere"):
        client_rc(missing, ("127.0.0.1", 1000))


def test_countries_are_known_where_the_binary_brings_its_map(common: Common, tmp_path: Path) -> None:
    (tmp_path / "geoip").write_text("")

    assert f"GeoIPFile {tmp_path / 'geoip'}" in client_rc(common, ("127.0.0.1", 1000)).splitlines()


def test_only_this_user_can_read_the_file(tmp_path: Path) -> None:
    write_rc(tmp_path / "anonrc", "SocksPort 0\n")

    assert (tmp_path / "anonrc").stat().st_mode & 0o777 == 0o600
