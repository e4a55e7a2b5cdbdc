"""`eacl study` of a search, with stand-ins for the runs."""

import json
import sys

import pytest

from eacl_jax.errors import SettingsError
from eacl_jax.reports import drawing
from eacl_jax.studies import cells
from eacl_jax.studies.search import trials
from tests.stubs.root import ROOT
from tests.stubs.searches import SearchTrain

FIELDS = """question="Which is best?", trials=4,
        search={"loss.temperature": {"low": 0.01, "high": 1.0, "log": True},
                "loss.form": {"choices": ["in", "out"]}},"""


@pytest.fixture
def train(monkeypatch):
    """Stands in for runs; figures are not painted."""
    monkeypatch.setattr(drawing, "render", lambda draw, theme: bytes(draw(theme) is None))
    return SearchTrain()


@pytest.mark.slow
def test_trials_then_the_best_beside_the_base(study):
    done = study()
    text = done.output.decode()
    assert (done.status, done.errors) == (0, "")
    found = json.loads((study.folder / trials.FILE).read_text())
    assert len(found["trials"]) == 4
    assert "[4/4] trial 3" in text
    name = f"found (trial {found['best']})"
    assert "runs: 4 complete, 0 failed." in text
    assert f"| {name} |" in text or f"**{name}" in text
    page = (study.folder / "index.html").read_text()
    assert "<h2>The search" in page
    assert f"“{name}” is the best of 4 trials" in page
    command = (
        f"eacl train --config={study.folder}/trials/{found['best']}/config.json"
        f" --workdir={study.folder}-trial-{found['best']}"
    )
    assert text.endswith(f"which no trial keeps:\n  {command}\n")
    assert f"<pre>{command}</pre>" in page
    assert "chose nothing" in (study.folder / "tables.md").read_text()
    # Again: nothing is run. With more trials: those, and what they found.
    study.train.calls.clear()
    assert study().status == 0
    assert study.train.calls == []
    done = study(argument=':{"trials": 6}')
    assert done.status == 0
    assert [seed for _, seed in study.train.calls[:2]] == [1000, 1000]


@pytest.mark.slow
def test_dry_run_lists_the_space_and_what_there_is(study):
    text = study("--dry-run").output.decode()
    assert "search: 4 trials on dev of talk, by weighted F1\n" in text
    assert "  loss.temperature: 0.01 to 1 (log scale); base 0.1\n" in text
    assert "  loss.form: in, out; base in\n" in text
    assert "4 trials, of which 4 are left.\n" in text
    assert not study.folder.exists()
    study()
    text = study("--dry-run").output.decode()
    assert "  trial 0: complete, dev 63.54 (loss.temperature 0.1, loss.form in)\n" in text
    assert "4 trials, of which 0 are left.\n" in text
    assert "talk, found (trial " in text
    assert "4 runs, of which 0 are not complete." in text


@pytest.mark.slow
def test_a_failed_trial_is_reported_and_would_be_tried_again(study):
    argument = ':{"trials": 2, "search": {"loss.form": {"choices": ["in", "out"]}}}'

    def fail(config, step):
        if config.loss.form == "out":
            raise RuntimeError("no memory")

    study.train.step = fail
    done = study(argument=argument)
    text = done.output.decode()
    assert done.status == 2
    assert "runs: 2 complete, 0 failed.\ntrials: 1 complete, 1 failed.\n" in text
    assert f"  trial 1: RuntimeError: no memory\n    {study.folder / 'trials' / '1'}\n" in text
    assert text.endswith("The same command tries again what failed.\n")
    text = study("--dry-run", argument=argument).output.decode()
    assert "trial 1: failed before, would be tried again: RuntimeError: no memory (loss" in text
    assert "2 trials, of which 1 are left.\n" in text
    # What would fail again is not left.
    study.train.step = fail_for_good
    done = study(argument=argument)
    assert (done.status, done.errors) == (0, "")
    assert "trials: 1 complete, 1 failed.\n" in done.output.decode()
    text = study("--dry-run", argument=argument).output.decode()
    assert "trial 1: failed: training diverged (loss" in text
    assert "2 trials, of which 0 are left.\n" in text


def fail_for_good(config, step):
    if config.loss.form == "out":
        raise SettingsError("training diverged")


@pytest.mark.parametrize(
    ("options", "argument", "expected"),
    [
        (["--only=base"], "", "--only: a search runs all its trials"),
        (["--seeds=5"], "", "the study has no seed 5"),
        ([], ':{"trials": 0}', "trials: expected a whole number"),
        (["--dry-run"], ':{"search": {"loss.x": {"low": 0, "high": 1}}}', "config.loss.x"),
    ],
)
def test_mistakes_are_reported_before_anything_runs(study, options, argument, expected):
    done = study(*options, argument=argument)
    assert done.status == 2
    assert done.errors.startswith("error: ")
    assert expected in done.errors
    assert study.train.calls == []
    assert not (study.folder / cells.STUDY).exists()


def test_without_optuna(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = study()
    assert done.status == 2
    assert "pip install 'eacl_jax[search]'" in done.errors


def test_the_search_that_ships_can_be_run(eacl, tmp_path):
    file = ROOT / "configs" / "studies" / "search.py"
    done = eacl("study", f"{file}:tiny,trials=9", f"--workdir={tmp_path / 'x'}", "--dry-run")
    assert (done.status, done.errors) == (0, "")
    assert "9 trials, of which 9 are left." in done.output.decode()
    done = eacl("study", f"{file.with_name('ablation.py')}:trials=9", "--workdir=x", "--dry-run")
    assert "the study ablation has no trials" in done.errors
