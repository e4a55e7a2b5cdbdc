"""How the processes of a run agree."""

import time

import pytest

from eacl_jax.training import processes
from tests.stubs.agreeing import run_together

JOIN = """
import sys
import jax
address, number, index = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
jax.distributed.initialize(address, number, index)
from eacl_jax.training import processes
"""


def test_one_process_agrees_with_itself():
    assert processes.count() == 1
    assert processes.is_main()
    assert processes.agree("color", {"red": 1}) == [{"red": 1}]
    processes.barrier("door")
    processes.check_equal({"seed": "0"})
    assert [processes.reached_stop(asked) for asked in (False, True)] == [False, True]


@pytest.mark.slow
def test_all_processes_get_the_values_of_all_in_their_order():
    script = f"""{JOIN}
first = processes.agree("color", ["red", "green", "blue"][index])
second = processes.agree("color", index * 10)
print("GOT", first, second, processes.is_main())
"""
    for number, (status, text) in enumerate(run_together(script, 3)):
        assert status == 0, text
        assert f"GOT ['red', 'green', 'blue'] [0, 10, 20] {number == 0}" in text


@pytest.mark.slow
def test_who_does_not_come_is_named():
    script = f"""{JOIN}
import time
processes.barrier("begin")
if index != 1:
    try:
        processes.barrier("door", 2.0)
    except processes.LateError as error:
        print("LATE", error)
processes.barrier("end")
"""
    # The late one comes at last, to the end.
    for number, (status, text) in enumerate(run_together(script, 3)):
        assert status == 0, text
        assert ("LATE waited 2 s for process 1 at 'door'" in text) == (number != 1)


def test_who_is_here_is_not_called_late_for_others_who_are(monkeypatch):
    class Service:
        def blocking_key_value_get(self, key, milliseconds):
            raise AssertionError("no time is left to wait")

        def key_value_try_get(self, key):
            return {"here": "value"}[key]

    monkeypatch.setattr(processes, "_client", Service)
    # The time went into waiting for another.
    assert processes._get("here", time.monotonic() - 1) == "value"


@pytest.mark.slow
def test_who_waits_for_one_that_failed_learns_it_and_what_comes_later_is_apart():
    script = f"""{JOIN}
import time
for number in range(2):
    try:
        with processes.attempt(f"attempt {{number}}", KeyError):
            if index == 1 and number == 0:
                raise ValueError("the disk is full")
            processes.barrier("door")
            print("THROUGH", number)
    except (ValueError, processes.AbsentError) as error:
        print("FAILED", number, error)
"""
    first, second = run_together(script, 2)
    assert (first[0], second[0]) == (0, 0), first[1] + second[1]
    assert "FAILED 0 process 1 has failed." in first[1]
    assert "FAILED 0 the disk is full" in second[1]
    assert "THROUGH 1" in first[1]
    assert "THROUGH 1" in second[1]


def test_what_differs_is_named_with_who_differs():
    script = f"""{JOIN}
try:
    processes.check_equal({{"seed": "5" if index == 2 else "4", "the corpus' dev": "same"}})
except processes.CommonError as error:
    print("APART", error)
processes.barrier("end")
"""
    for status, text in run_together(script, 3):
        assert status == 0, text
        assert "  seed: process 0 has 4, process 2 5\n" in text
        assert "corpus" not in text


def test_long_texts_are_shown_from_where_they_differ():
    one, other = f"{'a' * 50}b{'c' * 50}", f"{'a' * 50}d"
    assert processes._short(one, {other}) == f"...aaaab{'c' * 25}..."
    assert processes._short("short", {"other"}) == "short"


def test_what_the_first_does_all_get_or_fail_by():
    script = f"""{JOIN}
from eacl_jax.errors import UserError
def fail():
    raise UserError("the disk is full.")
def never():
    raise AssertionError(index)
print("GOT", processes.by_main("count", (lambda: 7) if index == 0 else never))
try:
    processes.by_main("fail", fail if index == 0 else never)
except processes.CommonError as error:
    print("PROBLEM", error)
processes.barrier("end")
"""
    for status, text in run_together(script, 2):
        assert status == 0, text
        assert "GOT 7\nPROBLEM the disk is full.\n" in text


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("failing", [(1,), (0, 1, 2)])
def test_who_is_not_ready_is_named_unless_all_say_the_same(failing):
    script = f"""{JOIN}
from eacl_jax.errors import UserError
def do():
    if index in {failing}:
        raise UserError("no corpus.")
    return index
try:
    print("READY", processes.all_ready("corpus", do))
except processes.CommonError as error:
    print("PROBLEM", error)
print("READY", processes.all_ready("again", lambda: index))
processes.barrier("end")
"""
    for number, (status, text) in enumerate(run_together(script, 3)):
        assert status == 0, text
        assert f"READY {number}\n" in text
        message = text.split("PROBLEM ")[1].splitlines()[0]
        if len(failing) == 3:
            assert message == "no corpus."
        else:
            assert message.startswith("process 1 (")
            assert message.endswith("): no corpus.")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("asked", [0, 1])
def test_all_stop_at_the_same_point(asked):
    script = f"""{JOIN}
import os, signal, time
for point in range(100):
    if point == 5 and index == {asked}:
        os.kill(os.getpid(), signal.SIGTERM)
    if processes.reached_stop(False):
        print("STOPPED AT", point)
        break
    time.sleep(0.1)
"""
    (one, first), (other, second) = run_together(script, 2)
    assert (one, other) == (0, 0), first + second
    points = [text.split("STOPPED AT")[1].split()[0] for text in (first, second)]
    assert points[0] == points[1]
