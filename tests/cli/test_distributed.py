"""`--distributed`: what it takes, and that all processes end when one does."""

import signal
import subprocess
import sys
import time

import pytest

from eacl_jax.cli import distributed
from eacl_jax.errors import UserError
from tests.stubs.agreeing import run_together
from tests.stubs.cluster import free_port
from tests.stubs.root import ROOT

JOIN = """
import sys, time
from eacl_jax.cli import distributed
from eacl_jax.errors import UserError
address, number, index = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
wanted = ",".join(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", "auto"),
        ("off", "off"),
        ("10.0.0.1:1234,4,3", ("10.0.0.1:1234", 4, 3)),
        ("[::1]:1234,2,0", ("[::1]:1234", 2, 0)),
    ],
)
def test_what_it_takes(given, expected):
    assert distributed.parse(given) == expected


@pytest.mark.parametrize(
    "given",
    ["", "on", "host,2,0", "host:12,2", "host:12,2,2", "host:12,-1,0", ":12,2,0", "h:x,2,0"],
)
def test_anything_else_is_refused_with_what_is_expected(given):
    with pytest.raises(UserError, match="expected auto, off, or HOST:PORT,N,I"):
        distributed.parse(given)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("given", ["auto", "off", "localhost:1,1,0"])
def test_one_process_alone_is_not_joined(given, monkeypatch):
    # JAX's own variables would name a cluster.
    for name in ("JAX_COORDINATOR_ADDRESS", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    script = f"""{JOIN}
import jax
with distributed.joined({given!r}):
    assert jax.process_count() == 1
print("ALONE")
"""
    ((status, text),) = run_together(script, 1)
    assert (status, text) == (0, "ALONE\n")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NUM_NODES": "2"}, None),
        ({"SLURM_NTASKS": "2", "SLURM_STEP_NUM_NODES": "2"}, []),
    ],
)
def test_a_task_that_has_a_node_takes_all_its_gpus(environment, expected, monkeypatch):
    for name in ("SLURM_NTASKS", "SLURM_STEP_NUM_NODES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert distributed._devices_of_a_task() == expected


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("failing", [0, 1])
def test_a_mistake_in_one_ends_all_with_one_line(failing):
    script = f"""{JOIN}
with distributed.joined(wanted):
    if index == {failing}:
        print("FAILS AT", time.time())
        raise UserError("line 3 of chats.jsonl: no text.")
    time.sleep(60)
"""
    ended = run_together(script, 3)
    now = time.time()
    assert [status for status, _ in ended] == [2, 2, 2], ended
    assert now - float(ended[failing][1].split("FAILS AT")[1].split()[0]) < 15
    lines = [line for _, text in ended for line in text.splitlines() if "error" in line]
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"error: process {failing} (")
    assert lines[0].endswith("): line 3 of chats.jsonl: no text.")


def test_a_task_of_slurm_that_is_alone_stays_as_it_is(monkeypatch):
    for name in ("JOB_ID", "NTASKS", "PROCID", "LOCALID", "STEP_NUM_NODES"):
        monkeypatch.setenv(f"SLURM_{name}", "1" if "N" in name[:4] else "0")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node1")
    script = f"""{JOIN}
import signal
before = signal.getsignal(signal.SIGTERM)
with distributed.joined("auto"):
    import jax
    assert signal.getsignal(signal.SIGTERM) is before
    print("ALONE", jax.config.values["jax_cuda_visible_devices"], jax.process_count())
"""
    assert run_together(script, 1) == [(0, "ALONE all 1\n")]


def test_a_cluster_that_cannot_be_asked_is_reported_and_the_run_is_alone(monkeypatch, caplog):
    from jax._src.clusters import ClusterEnv

    class Broken:
        opt_in_only_method = False

        @staticmethod
        def is_env_present():
            raise ValueError("no rights to list pods\nmore")

    monkeypatch.setattr(ClusterEnv, "_cluster_types", [Broken])
    with distributed.joined("auto"):
        pass
    assert (
        "this run is alone: who else belongs to it cannot be found out (no rights to list pods)"
        in (caplog.text)
    )


@pytest.mark.slow
def test_an_exit_waits_for_the_others_and_keeps_its_status():
    script = f"""{JOIN}
with distributed.joined(wanted):
    time.sleep(3 * index)
    raise SystemExit(143)
"""
    assert [status for status, _ in run_together(script, 2)] == [143, 143]


def test_what_all_report_is_logged_once():
    script = f"""{JOIN}
from eacl_jax.training import processes
with distributed.joined(wanted):
    processes.check_equal({{"seed": str(index)}})
"""
    ended = run_together(script, 2)
    assert [status for status, _ in ended] == [2, 2], ended
    text = ended[0][1] + ended[1][1]
    assert text.count("error: the processes of this run were not given the same") == 1
    assert text.count("seed: process 0 has 0, process 1 1") == 1


def test_processes_that_were_told_different_numbers_do_not_begin():
    script = f"""{JOIN}
with distributed.joined(f"{{address}},{{number + index}},{{index}}"):
    print("BEGUN")
"""
    ended = run_together(script, 2)
    assert [status for status, _ in ended] == [2, 2], ended
    text = ended[0][1] + ended[1][1]
    assert "BEGUN" not in text
    assert text.count("error: --distributed: the processes of this run were not given the") == 1
    assert "  the number of processes: process 0 has 2, process 1 3\n" in text


@pytest.mark.slow
def test_processes_that_are_done_leave_together():
    script = f"""{JOIN}
with distributed.joined(wanted):
    time.sleep(3 * index)
print("DONE")
"""
    for status, text in run_together(script, 2):
        assert (status, text.splitlines()[-1]) == (0, "DONE")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("number", "index"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGTERM, 0)]
)
def test_one_that_waits_for_the_others_can_be_stopped(number, index):
    script = f"""
from eacl_jax.cli import distributed, process
def command():
    with distributed.joined("localhost:{free_port()},2,{index}"):
        print("BEGUN")
process.run(command)
"""
    waiting = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert "waiting for the others at localhost" in waiting.stderr.readline()
        time.sleep(1)
        waiting.send_signal(number)
        _, text = waiting.communicate(timeout=10)
    finally:
        waiting.kill()
    assert (waiting.returncode, text) == (
        128 + number,
        f"stopped by {signal.Signals(number).name} while waiting for the other processes.\n",
    )


def test_ctrl_c_to_one_that_waits_for_an_answer_ends_all():
    script = f"""{JOIN}
import os, signal, threading
from eacl_jax.training import processes
with distributed.joined(wanted):
    if index == 0:
        time.sleep(60)
    threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()
    print("WAITS AT", time.time())
    processes.barrier("door")
"""
    ended = run_together(script, 2)
    now = time.time()
    assert [status for status, _ in ended] == [2, 130], ended
    assert (
        now - float(ended[1][1].split("WAITS AT")[1].split()[0]) < 45
    )  # the other would come after 60
    assert ended[0][1].rstrip().endswith("): stopped.")


def test_nobody_there_is_an_error_with_advice(monkeypatch):
    import jax

    def refuse(*_, **__):
        raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: nobody answered\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", refuse)
    with (
        pytest.raises(
            UserError, match="cannot be reached: DEADLINE_EXCEEDED: nobody answered; start"
        ),
        distributed.joined("localhost:1,2,1"),
    ):
        pass
