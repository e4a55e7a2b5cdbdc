"""A traced run: the trace holds the steps that were asked for, and the run is the same."""

import gzip
import io
import json

import jax.numpy as jnp
import pytest
from rich.console import Console

from eacl_jax.training import loop, run, stage
from eacl_jax.training.profiling import Profiler
from tests.stubs.toys import make_config


def numbers(workdir):
    """Everything recorded but speeds."""
    rows = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [
        {key: value for key, value in row.items() if key != "examples_per_second"} for row in rows
    ]


def traced_steps(file):
    """The numbers of the steps that a trace names."""
    with gzip.open(file) as content:
        events = json.load(content)["traceEvents"]
    return sorted(
        int(event["args"]["step_num"])
        for event in events
        if event.get("name") == "train" and "args" in event
    )


def scores(workdir):
    """The run's results but for calibration, which shows every bit of the representations."""
    results = json.loads((workdir / "results.json").read_text())
    return {
        key: value if key in ("corpus", "seed") else {**value, "calibration": None}
        for key, value in results.items()
    }


@pytest.mark.slow
def test_a_resumed_run_is_traced_and_unchanged(toy, finished, tmp_path, monkeypatch):
    workdir, config = tmp_path / "run", make_config(toy)
    stop = loop.StopRequest()
    with monkeypatch.context() as patched:
        # A stop is asked for when the first step's numbers are known: the third is then the last.
        patched.setattr(stage.StageRun, "step", lambda *_: stop.ask())
        with pytest.raises(loop.Interrupted):
            run.train(config, workdir, stop=stop, console=Console(quiet=True))
    shown = io.StringIO()
    run.train(config, workdir, profile=2, console=Console(file=shown))
    assert "2 steps traced" in shown.getvalue()
    (file,) = (workdir / "profile").glob("plugins/profile/*/perfetto_trace.json.gz")
    # Three more steps go by first.
    assert traced_steps(file) == [7, 8]
    assert scores(workdir) == scores(finished)
    # To the bit is what test_resume.py holds, of runs that begin alike.
    expected = [row for row in numbers(finished) if row["stage"] == 2 or row["step"] > 3]
    for ours, theirs in zip(numbers(workdir), expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.mark.parametrize(
    ("steps", "traced", "words"), [(5, [4, 5], "2 steps traced"), (3, None, "nothing traced")]
)
def test_a_run_shorter_than_the_trace(tmp_path, steps, traced, words):
    shown = io.StringIO()
    with Profiler(tmp_path, 9, Console(file=shown)) as profiler:
        for number in range(1, steps + 1):
            with profiler.step(number):
                outputs = jnp.ones(3) + number
            profiler.after(outputs)
    assert words in shown.getvalue()
    files = list(tmp_path.glob("plugins/profile/*/perfetto_trace.json.gz"))
    assert [traced_steps(file) for file in files] == ([] if traced is None else [traced])
