"""What a run says and keeps as it goes."""

import io
import json
import time

import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.recognizer.results import Results
from eacl_jax.training import evaluation
from eacl_jax.training.recording import MetricsLog, Pace, Recorder, say
from eacl_jax.training.results import print_results


def test_the_rest_is_estimated_by_recent_steps():
    pace = Pace(steps=1000, steps_per_epoch=100, batch_size=64)
    pace.step(0.64)  # 100 s: it compiles
    assert pace.eta(1) == "below 1 day, 3:45:00"
    for _ in range(50):
        pace.step(64)
    assert pace.eta(51) == "0:15:49"
    for _ in range(50):
        pace.step(6.4)
    assert pace.eta(101) == "2:29:50"
    pace.pause(60)
    assert pace.eta(101) == "2:38:50"  # nine epochs are to be scored
    assert pace.eta(900) == "0:18:40"
    assert pace.eta(1000) == "0:01:00"


def test_a_stage_that_takes_days(tmp_path):
    output = io.StringIO()
    with Recorder(
        tmp_path,
        Stage.ONE,
        start=None,
        steps=1256,
        steps_per_epoch=157,
        log_every=1,
        console=Console(file=output, width=200),
    ) as recorder:
        for step in (1, 2):
            recorder.step(step, {"loss": 1.0, "examples_per_second": 0.64})
    assert "ETA below 1 day, 10:51:40" in output.getvalue()
    assert output.getvalue().rstrip().endswith("ETA 1 day, 10:50:00")


def test_rows_are_of_the_runs_own_corpus(tmp_path):
    """Also where other corpora's batches fall on each row's step."""
    recorded = [False, True, False, False]
    with Recorder(
        tmp_path,
        Stage.ONE,
        start=None,
        steps=16,
        steps_per_epoch=4,
        log_every=4,
        console=Console(file=io.StringIO()),
        recorded=recorded,
    ) as recorder:
        for step in range(1, 17):
            recorder.step(step, {"loss": 1.0, "examples_per_second": 1.0})
    rows = MetricsLog(tmp_path / "metrics.jsonl").rows()
    assert [row["step"] for row in rows] == [2, 6, 10, 14]


@pytest.mark.parametrize(
    "damage",
    [
        b"[1]\n",
        b"{}\n",
        b'{"stage": 1, "st',
        b"\xff\xfe\n",
        b'{"stage": "1", "step": 2, "epoch": 1}\n',
    ],
)
def test_lines_that_are_no_rows_are_passed_over(tmp_path, damage):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    rows = [{"stage": 1, "step": step, "epoch": 1, "loss": 0.5} for step in (1, 2)]
    log.append(rows[0])
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(damage + b"\n")
    log.append(rows[1])
    assert log.rows() == rows
    log.rewind(1, 1)
    assert (tmp_path / "metrics.jsonl").read_text() == json.dumps(rows[0]) + "\n"


LABELS = ["[/anger]", "[bold]joy", ":smile:", "a|b"]


def printed(call):
    output = io.StringIO()
    call(Console(file=output, width=200))
    return output.getvalue()


def scores():
    values = {
        "weighted_f1": 1.0,
        "accuracy": 2.0,
        "macro_f1": 3.0,
        "per_class_f1": dict.fromkeys(LABELS, 4.0),
    }
    return {"dev": values, "test": values}


@pytest.mark.parametrize("label", LABELS)
def test_names_are_printed_as_they_are(tmp_path, label):
    assert printed(lambda console: say(console, f"labels {label}")) == f"labels {label}\n"
    calibration = {
        "temperature": 1.0,
        "expected_calibration_error": {},
        "expected_calibration_error_uncalibrated": {},
    }
    values = {"corpus": label, "seed": 0, "always_most_frequent": {"label": label, **scores()}}
    for stage in Stage:
        values[stage.value] = {"best_epoch": 1, "calibration": calibration, **scores()}
    results = Results.from_json(values, [])
    assert results is not None
    text = printed(lambda console: print_results(results, console))
    assert f"{label}, seed 0" in text
    assert f"always {label} " in text
    folder = tmp_path / f"run{label.replace('/', '')}"
    text = printed(
        lambda console: evaluation.print_scores(
            folder, "test", {"stage_one": scores()["test"]}, console
        )
    )
    assert f"F1 {label} " in text
    assert f"{folder}: test" in text
    assert "not compared with results.json: " in text


def test_a_label_without_scores_has_a_dash_and_its_counts_beside_it(tmp_path):
    values = {
        "weighted_f1": 61.0,
        "accuracy": 62.0,
        "macro_f1": 63.0,
        "per_class_f1": {"joy": 45.25, "fear": 0.0, "mad": 0.0},
        "support": {"joy": 1234, "fear": 0, "mad": 0},
        "answered": {"joy": 77, "fear": 0, "mad": 2},
    }
    text = printed(
        lambda console: evaluation.print_scores(tmp_path, "test", {"stage_one": values}, console)
    )
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    assert ["F1 joy", "1,234", "45.25", "77"] in rows
    assert ["F1 fear", "0", "–", "0"] in rows
    assert ["F1 mad", "0", "0.00", "2"] in rows
    assert ["accuracy", "62.00"] in rows


def test_micro_f1_says_which_label_it_leaves_out(tmp_path):
    name = "micro F1 without [/b]"
    found = {"dev": {**scores()["dev"], "micro_f1": 5.0}}
    found["test"] = found["dev"]
    values = {"corpus": "a", "seed": 0, "excluded_label": "[/b]"}
    calibration = {
        "temperature": 1.0,
        "expected_calibration_error": {},
        "expected_calibration_error_uncalibrated": {},
    }
    for stage in Stage:
        values[stage.value] = {"best_epoch": 1, "calibration": calibration, **found}
    results = Results.from_json({**values, "always_most_frequent": {"label": "b", **found}}, [])
    assert results is not None
    assert Results.from_json(results.to_json(), []) == results
    text = printed(lambda console: print_results(results, console))
    assert name in text
    text = printed(
        lambda console: evaluation.print_scores(
            tmp_path, "test", {"stage_one": found["test"]}, console, excluded_label="[/b]"
        )
    )
    assert name in text
    with Recorder(
        tmp_path,
        Stage.ONE,
        start=None,
        steps=1,
        steps_per_epoch=1,
        log_every=1,
        console=Console(file=io.StringIO(), width=200),
        excluded_label="[/b]",
    ) as recorder:
        recorder.epoch(1, 1, {"dev_micro_f1": 5.0, "dev_macro_f1": 4.0}, "")
        assert f"dev {name} 5.00  dev macro F1 4.00" in recorder._console.file.getvalue()


def test_tensorboards_rows_are_on_the_disk_within_seconds(tmp_path):
    with Recorder(
        tmp_path,
        Stage.ONE,
        start=None,
        steps=9,
        steps_per_epoch=3,
        log_every=1,
        console=Console(file=io.StringIO()),
    ) as recorder:
        for epoch in (1, 2, 3):
            recorder.epoch(epoch, 3 * epoch, {f"dev_score_{epoch}": 5.0}, "")
        (file,) = (tmp_path / "tensorboard" / "stage_one").glob("events*")
        until = time.monotonic() + 30
        while b"dev_score_3" not in file.read_bytes():
            assert time.monotonic() < until
            time.sleep(0.1)
