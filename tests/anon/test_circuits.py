from runtime.anon.circuits import Hop, parse_circuits

# as anon 0.4.9.11 answers GETINFO circuit-status
ANSWER = (
    "2 BUILT $5F0CDE2681E0FAB591CD5814B1D5F5402686200C~relay0,$5CF31E876C9BBDF1965DDFA13AF3C5E7FDAA068D~relay3"
    " BUILD_FLAGS=IS_INTERNAL,NEED_CAPACITY PURPOSE=HS_VANGUARDS TIME_CREATED=2026-11-23T15:04:36.264973\n"
    "7 BUILT $5F0CDE2681E0FAB591CD5814B1D5F5402686200C~relay0 BUILD_FLAGS=IS_INTERNAL PURPOSE=HS_CLIENT_REND"
    ' HS_STATE=HSCR_JOINED REND_QUERY=abc TIME_CREATED=2026-11-23T15:04:36.264973 SOCKS_USERNAME="api-1"\n'
    "9 LAUNCHED BUILD_FLAGS=NEED_CAPACITY PURPOSE=GENERAL TIME_CREATED=2026-11-23T15:04:36.264973"
)


def test_circuits_are_told_with_their_relays_and_what_they_are_for() -> None:
    idle, ours, new = parse_circuits(ANSWER)

    assert [hop.nickname for hop in idle.path] == ["relay0", "relay3"]
    assert ours.path == (Hop("5F0CDE2681E0FAB591CD5814B1D5F5402686200C", "relay0"),)
    assert (new.state, new.path) == ("LAUNCHED", ())
    assert [circuit.carries_traffic for circuit in (idle, ours, new)] == [False, True, False]
    assert [circuit.isolated for circuit in (idle, ours, new)] == [False, True, False]


def test_no_circuits_are_no_error() -> None:
    assert parse_circuits("") == []
