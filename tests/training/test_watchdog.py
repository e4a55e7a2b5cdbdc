"""What is printed where a run stands still."""

import time

import pytest

from eacl_jax.training.watchdog import Watchdog


@pytest.fixture
def dumped(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "eacl_jax.training.watchdog.faulthandler.dump_traceback",
        lambda *_, **how: calls.append(how),
    )
    return calls


def test_a_pause_is_printed_once_with_the_last_step(dumped, capsys):
    watchdog = Watchdog(0.2 / 60)
    watchdog.start()
    watchdog.step("stage one, step 7 of 40")
    time.sleep(0.6)
    assert dumped == [{"all_threads": True}]
    watchdog.step("stage one, step 8 of 40")
    time.sleep(0.6)
    watchdog.close()
    assert len(dumped) == 2
    printed = capsys.readouterr().err
    assert printed.count("no step came for") == 2
    assert "the last: stage one, step 7 of 40." in printed
    assert "the last: stage one, step 8 of 40." in printed


def test_steps_that_come_are_no_pause(dumped, capsys):
    watchdog = Watchdog(1 / 60)
    watchdog.start()
    for number in range(15):
        watchdog.step(f"step {number}")
        time.sleep(0.1)
    watchdog.close()
    assert dumped == []
    assert capsys.readouterr().err == ""


def test_zero_is_never(dumped):
    watchdog = Watchdog(0)
    watchdog.start()
    time.sleep(0.1)
    watchdog.close()
    assert dumped == []
