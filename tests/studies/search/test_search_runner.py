"""A search finds the best settings, ends bad trials early, and goes on after whatever stopped it."""

import io
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eacl_jax.errors import SettingsError, UserError
from eacl_jax.studies import cells
from eacl_jax.studies.claims import Claims
from eacl_jax.studies.search import outcome, runner, suggest, trials
from eacl_jax.studies.search.definition import Range
from eacl_jax.studies.search.runner import run_search
from eacl_jax.studies.search.trials import Trial, TrialState
from eacl_jax.training.loop import Interrupted, NonFiniteLossError, StopRequest
from tests.stubs.root import ROOT
from tests.stubs.searches import BEST, SPACE, SearchTrain, make_search
from tests.stubs.studies import no_corpus

STEPS = 4


class Calls:
    """A search's folder, and what calls on it print."""

    def __init__(self, folder):
        self.folder, self.train = folder, SearchTrain(steps=STEPS)

    def __call__(self, search, **options):
        stream = io.StringIO()
        options = {"train": self.train, "load": lambda _: None, "poll": 0.02, **options}
        try:
            return run_search(
                search, self.folder, console=Console(file=stream, width=1000), **options
            )
        finally:
            self.printed = stream.getvalue()


@pytest.fixture
def call(tmp_path):
    return Calls(tmp_path / "search")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The trials of a search that nothing stopped."""
    return Calls(tmp_path_factory.mktemp("undisturbed") / "search")(make_search())


@pytest.mark.slow
def test_it_finds_the_best_settings(call):
    found = call(make_search(trials=30))
    top = trials.best(found)
    assert BEST / 1.5 < top.settings["loss.temperature"] < BEST * 1.5
    assert top.settings["loss.form"] == "out"
    # It looks where it was good: the last trials are better than those at random.
    assert sum(t.settings["loss.form"] == "out" for t in found[20:]) >= 7
    settings = [json.dumps(each.settings) for each in found]
    assert len(set(settings)) == 30
    assert f"trial {top.number}  loss.temperature" in call.printed
    most = suggest.importances(make_search(), found)
    assert next(iter(most)) == "loss.temperature"
    assert sum(most.values()) == pytest.approx(1)
    assert suggest.importances(make_search(), found[:5]) == {}


def test_the_first_trial_is_the_base(undisturbed):
    assert undisturbed[0].settings == make_search().start
    assert undisturbed[0].state is TrialState.COMPLETE


def test_values_are_within_their_bounds(undisturbed):
    for trial in undisturbed:
        assert 0.01 <= trial.settings["loss.temperature"] <= 1
        assert trial.settings["stage_two.epochs"] in range(1, 21)


@pytest.mark.slow
def test_bad_trials_end_early_and_leave_no_checkpoints(call, undisturbed):
    found = call(make_search())
    pruned = [trial for trial in found if trial.state is TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        assert max(trial.epochs) == suggest.PRUNED_FROM
        folder = trials.folder_of(call.folder, trial.number)
        assert (folder / "config.json").exists()
        assert not (folder / "results.json").exists()
        assert cells.is_tidy(folder)
        assert f"dev weighted F1 {trial.score:.2f}, pruned after epoch 2" in call.printed
    complete = [trial for trial in found if trial.state is TrialState.COMPLETE]
    assert all(len(trial.epochs) == STEPS for trial in complete)
    assert all(cells.is_tidy(trials.folder_of(call.folder, t.number)) for t in complete)
    assert not list((call.folder / cells.CLAIMS).glob("*/*"))
    assert found == undisturbed


def test_runs_that_end_after_fewer_epochs_than_are_set_are_completed(call):
    """As `stage_one.max_steps` ends them."""
    call.train.steps = suggest.PRUNED_FROM
    found = call(make_search(trials=12))
    assert {trial.state for trial in found} == {TrialState.COMPLETE}


def test_pruning_is_by_the_median_of_an_epoch():
    search = make_search()

    def trial(number, epochs, state=TrialState.COMPLETE):
        value = 50.0 if state is TrialState.COMPLETE else None
        return Trial(number, search.start, dict(enumerate(epochs, 1)), state, value)

    done = [trial(n, (10, 20 + n, 30)) for n in range(suggest.PRUNED_AFTER)]
    running = TrialState.RUNNING
    assert suggest.prune(search, done, trial(9, (1, 21), running), 8)
    assert not suggest.prune(search, done, trial(9, (1, 22), running), 8)
    assert not suggest.prune(search, done, trial(9, (1,), running), 8)  # too early
    assert not suggest.prune(search, done[:-1], trial(9, (1, 1), running), 8)  # too few
    assert not suggest.prune(search, done, trial(0, (1, 1), running), 8)  # the base
    done = [trial(n, (10, 20, 30)) for n in range(suggest.PRUNED_AFTER)]
    assert suggest.prune(search, done, trial(9, (1, 1), running), 3)
    assert not suggest.prune(
        search, done, trial(9, (1, 1, 1), running), 3
    )  # stage two alone is left


@pytest.mark.parametrize(
    ("low", "high", "log"),
    [(0.999, 0.9999, False), (0.999, 0.99999, True), (0.0, 1.0, False), (1e-6, 1e-4, False)],
)
def test_rounded_values_of_a_narrow_range_stay_apart(low, high, log):
    searched = Range("stage_one.average", low, high, log)
    drawn = np.linspace(low, high, 1000)
    rounded = [searched.rounded(value) for value in drawn]
    assert len(set(rounded)) == 1000
    assert (rounded[0], rounded[-1]) == (low, high)
    np.testing.assert_allclose(rounded, drawn, atol=1e-3 * (high - low))


def test_rounded_values_of_a_wide_range_are_short():
    assert Range("x", 1e-6, 1e-2, log=True).rounded(0.000123456) == 0.0001235
    assert Range("x", 0.0, 1.0).rounded(0.123456) == 0.1235


@pytest.mark.slow
def test_the_same_search_is_not_done_twice(call, undisturbed):
    call(make_search())
    call.train.calls.clear()
    assert call(make_search()) == undisturbed
    assert call.train.calls == []


@pytest.mark.slow
def test_more_trials_go_on_from_those_that_are_there(call, undisturbed):
    call(make_search(trials=7))
    call.train.calls.clear()
    assert call(make_search(trials=16)) == undisturbed
    assert len(call.train.calls) == 9


@pytest.mark.slow
def test_asked_to_stop_it_goes_on_with_the_same_trial(call, undisturbed):
    stop, steps = StopRequest(), []

    def step(config, number):
        steps.append(number)
        if len(steps) == 2 * STEPS + 2:
            stop.ask(signal.SIGINT)

    call.train.step = step
    with pytest.raises(Interrupted) as stopped:
        call(make_search(), stop=stop)
    assert stopped.value.number == signal.SIGINT
    left = trials.read_trial(make_search(), call.folder, 2)
    assert (left.state, list(left.epochs)) == (TrialState.RUNNING, [1, 2])
    assert Claims(call.folder / cells.CLAIMS).claimant(trials.claim_of(2)) is None
    steps.clear()
    assert call(make_search()) == undisturbed
    assert steps[0] == 2  # from its last checkpoint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "kills", "seed"), [pytest.param(1, 12, 1, marks=pytest.mark.long), (2, 12, 2)]
)
def test_killed_at_random_moments_every_trial_is_run_once(
    tmp_path, undisturbed, workers, kills, seed
):
    """The stand-in fails where a run is completed twice, and notes where two are in one folder."""
    subprocess.run(
        [sys.executable, "-m", "tests.stubs.study_workers", str(tmp_path / "search")]
        + [str(each) for each in (workers, kills, seed)]
        + ["search"],
        cwd=ROOT,
        check=True,
        timeout=120,
    )
    search = make_search()
    found = trials.read_trials(search, tmp_path / "search")
    assert [trial.number for trial in found] == list(range(search.trials))
    assert all(trial.state in ("complete", "pruned") for trial in found)
    for trial in found:
        folder = trials.folder_of(tmp_path / "search", trial.number)
        assert not (folder / "overlap").exists()
        assert cells.is_tidy(folder)
        config = json.loads((folder / "config.json").read_bytes())
        assert config["loss"]["temperature"] == trial.settings["loss.temperature"]
        assert list(trial.epochs) == list(range(1, 1 + len(trial.epochs)))
    assert len({json.dumps(trial.settings) for trial in found}) == search.trials
    assert not list((tmp_path / "search" / cells.CLAIMS).glob("*/*"))
    if workers == 1:  # of several, what is known when a trial begins depends on their pace
        assert found == undisturbed


def test_what_two_processes_try_at_once_differs():
    search = make_search()
    running = [Trial(n, suggest.suggest(search, (), n)) for n in range(3)]
    assert suggest.suggest(search, running[:1], 1) != suggest.suggest(search, running[:1], 2)


@pytest.mark.slow
def test_two_that_draw_at_once_draw_different_settings(tmp_path, monkeypatch):
    """In a space that the trials fill, none may be drawn twice."""
    space = {"loss.form": SPACE["loss.form"], "loss.balanced": {"choices": [False, True]}}
    search = make_search(search=space, trials=4)

    def slow(*given):
        found = suggest.suggest(*given)
        time.sleep(0.1)  # in which another process would have drawn
        return found

    monkeypatch.setattr(runner, "suggest", slow)
    folders = [Calls(tmp_path / "search") for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(each, search) for each in folders]:
            done.result()
    found = trials.read_trials(search, tmp_path / "search")
    assert len({json.dumps(each.settings) for each in found}) == 4
    assert not list((tmp_path / "search" / cells.CLAIMS).glob("*/*"))


def test_a_small_space_is_tried_out():
    search = make_search(search={"loss.form": SPACE["loss.form"]}, trials=2)
    first = Trial(0, search.start)
    for number in range(1, 8):
        for there in ([first], []):  # the first may not have been written yet
            assert suggest.suggest(search, there, number) == {"loss.form": "out"}


@pytest.mark.slow
def test_a_trial_with_an_infinite_loss_has_failed_for_good(call):
    def step(config, number):
        if config.loss.temperature > 0.3:
            raise UserError("the loss is not finite.") from NonFiniteLossError(3, (), {})

    call.train.step = step
    found = call(make_search())
    failed = [trial for trial in found if trial.state is TrialState.FAILED]
    assert failed
    assert {trial.reason for trial in failed} == {"the loss is not finite."}
    assert "FAILED: the loss is not finite." in call.printed
    assert all(cells.is_tidy(trials.folder_of(call.folder, t.number)) for t in failed)
    call.train.calls.clear()
    assert call(make_search()) == found
    assert call.train.calls == []


def test_settings_that_lead_to_nothing_are_tried_once(call):
    """As where training diverges without an infinite loss, or the encoder has fewer layers."""
    search = make_search(search={"loss.form": SPACE["loss.form"]}, trials=2)

    def step(config, number):
        if config.loss.form == "out":
            raise SettingsError("training diverged.")

    call.train.step = step
    _, failed = call(search)
    assert (failed.state, failed.reason, failed.again) == (
        TrialState.FAILED,
        "training diverged.",
        False,
    )
    call.train.calls.clear()
    call(search)
    assert call.train.calls == []


@pytest.mark.slow
def test_what_may_be_mended_is_tried_again(call):
    def step(config, number):
        if config.loss.form == "out":
            raise RuntimeError("no memory")

    call.train.step = step
    first = call(make_search(trials=5))
    failed = [trial for trial in first if trial.state is TrialState.FAILED]
    assert {trial.reason for trial in failed} == {"RuntimeError: no memory"}
    del call.train.step
    again = call(make_search(trials=5))
    assert all(trial.state is TrialState.COMPLETE for trial in again)
    assert [t.settings for t in again] == [t.settings for t in first]


def test_what_failed_at_the_moment_when_a_call_begins_is_tried_again(call):
    def step(config, number):
        if config.loss.form == "out":
            raise RuntimeError("no memory")

    search = make_search(trials=2, search={"loss.form": {"choices": ["in", "out"]}})
    call.train.step = step
    assert [trial.state for trial in call(search)] == ["complete", "failed"]
    del call.train.step
    failed = trials.file_of(call.folder, 1)
    # Times of files have steps.
    again = call(search, since=failed.stat().st_mtime)
    assert [trial.state for trial in again] == ["complete", "complete"]


@pytest.mark.slow
def test_many_failures_one_after_the_other_end_it(call):
    def step(config, number):
        raise RuntimeError("no disk")

    call.train.step = step
    with pytest.raises(UserError, match=r"5 trials failed one after the other, .*no disk"):
        call(make_search())
    assert len(call.train.calls) == 5


@pytest.mark.slow
def test_settings_that_cannot_stand_together_fail_alone(call, monkeypatch):
    search = make_search(trials=5)
    whole = type(search).config

    def config(self, settings):
        if settings != search.start:
            raise UserError("the configuration cannot be used:\n  config.x: no.")
        return whole(self, settings)

    monkeypatch.setattr(type(search), "config", config)
    found = call(search)
    assert [trial.state for trial in found] == ["complete", *["failed"] * 4]
    assert not any(trial.again for trial in found)


@pytest.mark.slow
def test_no_trial_is_complete(call):
    def step(config, number):
        raise UserError("the loss is not finite.") from NonFiniteLossError(3, (), {})

    call.train.step = step
    with pytest.raises(UserError, match="no trial of the search is complete:\n  the loss is not"):
        call(make_search(trials=3))


@pytest.mark.slow
def test_pruned_and_killed_before_it_stopped_it_stays_pruned(call):
    call(make_search())
    pruned = next(t for t in trials.read_trials(make_search(), call.folder) if t.state == "pruned")
    left = trials.folder_of(call.folder, pruned.number) / "checkpoints"
    left.mkdir()
    call.train.calls.clear()
    call(make_search())
    assert call.train.calls == []
    assert not left.exists()


def test_a_folder_that_is_moved_ends_it(call):
    """Nothing is begun anew under the old name; where the folder is now the search goes on."""
    moved, search = call.folder.with_name("moved"), make_search(trials=2)

    def step(config, number):
        if not moved.exists():
            call.folder.rename(moved)

    call.train.step = step
    with pytest.raises(UserError, match=r"search: study\.config\.json is no longer there"):
        call(search)
    assert len(call.train.calls) == 1
    assert not (call.folder / cells.CLAIMS).exists()
    again = Calls(moved)
    assert len(again(search)) == 2
    assert "waiting" not in again.printed


@pytest.mark.slow
def test_another_searchs_folder_is_refused(call):
    call(make_search(trials=2))
    space = {**SPACE, "loss.temperature": {"low": 0.02, "high": 1.0, "log": True}}
    with pytest.raises(UserError, match=r"another search.*\n  loss.temperature: .*0.01.*0.02"):
        call(make_search(search=space))
    with pytest.raises(UserError, match="seed: 1000 there, 7 now"):
        call(make_search(trial_seed=7))
    with pytest.raises(UserError, match="with other settings"):
        call(make_search(corpora={"talk": {"data.max_dialogues": 2}}))


def test_a_search_that_draws_more_at_random_is_another(tmp_path):
    """Its page says how many it drew; folders of before do not say."""
    search = make_search()
    trials.register(search, tmp_path)
    trials.check(search, tmp_path)
    with pytest.raises(UserError, match="startup: 6 there, 7 now"):
        trials.check(make_search(startup=7), tmp_path)
    file = tmp_path / trials.CONFIG
    before = json.loads(file.read_text())
    del before["startup"]
    file.write_text(json.dumps(before))
    trials.check(make_search(startup=7), tmp_path)


@pytest.mark.slow
def test_a_damaged_trial_is_named(call):
    call(make_search(trials=2))
    file = trials.file_of(call.folder, 1)
    for text in ("{", '{"format": "x"}', json.dumps({**json.loads(file.read_text()), "state": 1})):
        file.write_text(text)
        with pytest.raises(UserError, match=r"1\.json.*(delete|anew)"):
            call(make_search(trials=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": {"loss.temperature": 7.0}},
        {"settings": {"loss.temperature": "x"}},
        {"settings": {"loss.temperature": True}},
        {"settings": {"stage_two.epochs": 2.5}},
        {"settings": {"loss.form": "up"}},
        {"value": None},
        {"value": "x"},
        {"epochs": {"1": None}},
    ],
)
def test_a_trial_that_is_none_of_the_search_is_damaged(tmp_path, changes):
    search = make_search()
    good = Trial(1, search.start, {1: 40.0}, TrialState.COMPLETE, 50.0)
    trials.write_trial(tmp_path, good)
    assert trials.read_trial(search, tmp_path, 1) == good
    changed = json.loads(trials.file_of(tmp_path, 1).read_text())
    for name, value in changes.items():
        changed[name] = {**changed[name], **value} if isinstance(value, dict) else value
    trials.file_of(tmp_path, 1).write_text(json.dumps(changed))
    with pytest.raises(UserError, match=r"1\.json is damaged .* to run the trial anew"):
        trials.read_trial(search, tmp_path, 1)


def test_trials_of_a_search_that_is_not_known_are_refused(tmp_path):
    search = make_search()
    trials.register(search, tmp_path)
    trials.write_trial(tmp_path, Trial(0, search.start))
    (tmp_path / trials.CONFIG).unlink()
    with pytest.raises(UserError, match=r"holds trials but no search\.config\.json"):
        trials.register(search, tmp_path)


NOWHERE = Path("nowhere")


def conclude(search, found, workdir=NOWHERE):
    known = {"load": no_corpus, "identify": lambda _: {"config": "1"}}
    return outcome.conclude(search, found, workdir, **known)


def test_what_is_found_is_compared_with_the_base(undisturbed):
    search, top = make_search(), trials.best(undisturbed)
    study = conclude(search, undisturbed)
    name = f"found (trial {top.number})"
    assert study.variants == ("base", name)
    assert [(c.variant, c.seed) for c in study.cells] == [
        (variant, seed) for variant in study.variants for seed in (0, 1)
    ]
    assert study.cells[2].config.loss.temperature == top.settings["loss.temperature"]
    assert [tuple(side.variant for side in pair) for pair in study.comparisons] == [(name, "base")]
    assert "16 trials (" in study.notes[0]
    assert "by weighted F1 on dev of talk" in study.notes[0]
    assert "test scores chose nothing" in study.notes[0]


def test_what_fewer_trials_had_found_and_tested_is_noted(undisturbed, tmp_path):
    search, top = make_search(), trials.best(undisturbed)
    other = next(each for each in undisturbed if each is not top)
    tested = tmp_path / "cells" / "talk" / f"found-trial-{other.number}" / "seed-0"
    tested.mkdir(parents=True)
    assert not [n for n in conclude(search, undisturbed, tmp_path).notes if "fewer trials" in n]
    (tested / "results.json").touch()
    (note,) = (n for n in conclude(search, undisturbed, tmp_path).notes if "fewer trials" in n)
    assert f"had found “found (trial {other.number})”, whose runs" in note


def test_where_the_base_is_best_there_is_nothing_to_compare(undisturbed):
    study = conclude(make_search(), undisturbed[:1])
    assert study.variants == ("base",)
    assert study.comparisons == ()
    assert "none did better than the base" in study.notes[-1]


def test_trials_that_go_on_are_not_counted_and_a_base_without_a_score_is_noted(undisturbed):
    settings = undisturbed[1].settings
    found = (
        Trial(0, undisturbed[0].settings, {1: 50.0}, TrialState.FAILED, None, "no memory", True),
        Trial(1, settings, {1: 40.0}, TrialState.COMPLETE, 40.0),
        Trial(2, settings),
    )
    notes = outcome.notes(make_search(), found)
    assert notes[0].startswith(
        "“found (trial 1)” is the best of 2 trials (1 complete, 1 failed), by weighted F1 on dev"
    )
    assert notes[1] == (
        "The trial of “base” itself has no score, so that no other was compared with it on dev."
    )
    assert len(outcome.notes(make_search(), undisturbed)) == 2


def test_the_best_is_the_first_of_equals():
    same = [Trial(n, {}, state=TrialState.COMPLETE, value=v) for n, v in enumerate((1.0, 2.0, 2.0))]
    assert trials.best(same).number == 1
    assert trials.best([]) is None


def test_what_search_json_holds(tmp_path, undisturbed):
    search = make_search()
    trials.write_search(search, tmp_path, undisturbed, {"loss.form": 1.0})
    found = json.loads((tmp_path / trials.FILE).read_text())
    assert (found["split"], found["measure"], found["seed"]) == ("dev", "weighted_f1", 1000)
    assert found["best"] == trials.best(undisturbed).number
    assert [each["number"] for each in found["trials"]] == list(range(16))
    assert found["trials"][0]["settings"] == search.start
    assert "test" not in json.dumps(found["trials"])
