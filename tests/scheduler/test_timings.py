"""What is expected of runs and loads where they were measured, and where they were not."""

import time

import pytest

from runtime.scheduler.timings import LOAD_SECONDS, RUN_SECONDS, Timings

OLD, NEW = "RTX 4090", "RTX 5090"


def test_what_was_measured_is_expected_again() -> None:
    known = Timings(runs={("flux", OLD, "1x"): 4.9, ("flux", OLD, "2x"): 9.5}, loads={("flux", OLD): 31.0})

    assert known.run_seconds("flux", OLD, "2x") == 9.5
    assert known.load_seconds("flux", OLD) == 31.0


def test_a_run_is_known_where_the_command_ran_in_whatever_size() -> None:
    known = Timings(runs={("flux", OLD, "1x"): 4.9})

    assert known.is_known("flux", OLD, "1x")
    assert known.is_known("flux", OLD, "4x")
    assert not known.is_known("flux", NEW, "1x")
    assert not known.is_known("wan", OLD, "1x")
    assert not known.is_known("flux", OLD, ""), "a job of unknown size may be anything"
    assert Timings(runs={("flux", OLD, ""): 4.9}).is_known("flux", OLD, "")


def test_another_size_is_scaled_from_the_nearest_one_measured_there() -> None:
    known = Timings(runs={("flux", OLD, "1x"): 5.0, ("flux", OLD, "4x"): 24.0, ("flux", NEW, "2x"): 3.0})

    assert known.run_seconds("flux", OLD, "5.7x") == pytest.approx(24.0 * 5.7 / 4)
    assert known.run_seconds("flux", OLD, "0.5x") == pytest.approx(2.5)


def test_a_size_that_nobody_knows_is_the_nearest_to_the_defaults() -> None:
    known = Timings(runs={("flux", OLD, "1x"): 5.0, ("flux", OLD, "4x"): 24.0})
    assert known.run_seconds("flux", OLD) == 5.0


def test_runs_of_unknown_size_stand_for_one_by_the_defaults_where_nothing_else_is_known() -> None:
    assert Timings(runs={("flux", OLD, ""): 5.0}).run_seconds("flux", OLD, "2x") == 10.0
    assert Timings(runs={("flux", OLD, ""): 50.0, ("flux", OLD, "1x"): 5.0}).run_seconds("flux", OLD, "2x") == 10.0


def test_another_device_is_expected_to_be_as_much_faster_as_with_what_both_have_run() -> None:
    known = Timings(runs={("flux", OLD, "1x"): 16.0, ("flux", NEW, "1x"): 10.0, ("wan", OLD, "1x"): 64.0})
    assert known.run_seconds("wan", NEW, "1x") == pytest.approx(40.0)


def test_a_thousand_devices_of_their_own_cost_no_more_than_a_few() -> None:
    runs = {(key, f"gpu-{number}", "1x"): 10.0 for number in range(1000) for key in ("flux", "wan", "sd3")}
    del runs["wan", "gpu-999", "1x"]
    known = Timings(runs=runs)

    began = time.process_time()
    assert [known.run_seconds("wan", "gpu-999", f"{size}x") for size in (1, 2, 4)] == pytest.approx([10, 20, 40])
    assert time.process_time() - began < 0.05


def test_another_device_with_which_nothing_is_shared_is_expected_to_be_the_same() -> None:
    known = Timings(runs={("wan", OLD, "1x"): 64.0})
    assert known.run_seconds("wan", NEW, "1x") == 64.0


def test_a_command_that_never_ran_is_a_guess_and_says_so() -> None:
    known = Timings(runs={("wan", OLD, "1x"): 64.0})
    assert known.run_seconds("flux", OLD, "1x") == RUN_SECONDS
    assert known.measured_keys() == {"wan"}


def test_a_load_is_expected_by_the_size_of_the_weights_until_it_was_measured() -> None:
    known = Timings(loads={("flux", OLD): 62.0}, weights_gb={"wan": 35.4, "sd3": 13.9, "flux": 31.0})

    assert known.load_seconds("wan", NEW) == pytest.approx(35.4), "a GiB a second where nothing was loaded yet"
    assert known.load_seconds("wan", OLD) == pytest.approx(70.8), "at the rate at which others were"
    assert known.load_seconds("flux", NEW) == 62.0, "as long as elsewhere"
    assert known.load_seconds("other", NEW) == LOAD_SECONDS
    assert known.load_seconds("", NEW) == 0.0, "nothing is to be loaded without a model set"


def test_loads_that_cost_nothing_say_nothing_of_others() -> None:
    known = Timings(loads={("flux", OLD): 0.0}, weights_gb={"wan": 35.4, "flux": 31.0})
    assert known.load_seconds("wan", OLD) == pytest.approx(35.4)
