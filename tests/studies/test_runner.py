"""The cells of a study are run once each, in an order that shares what can be shared."""

import io
import os
import signal
import threading
import time

import pytest
from filelock import Timeout
from rich.console import Console

from eacl_jax.errors import UserError
from eacl_jax.studies import cells, outcome, plan
from eacl_jax.studies.claims import Claims
from eacl_jax.studies.pace import Pace, disk
from eacl_jax.studies.runner import run_study
from eacl_jax.training import cost, run_folder
from eacl_jax.training.loop import Interrupted, StopRequest
from tests.stubs.studies import Train, make_study


class Calls:
    """A study's folder, and what calls of the command on it printed."""

    def __init__(self, folder):
        self.folder, self.train, self.loaded = folder, Train(), []

    def __call__(self, study, **options):
        stream = io.StringIO()
        options = {"train": self.train, "load": self.load, "poll": 0.02, **options}
        self.train.calls.clear()
        self.loaded.clear()
        try:
            return run_study(study, self.folder, console=Console(file=stream), **options)
        finally:
            self.printed = stream.getvalue()

    def load(self, config):
        self.loaded.append((config.encoder.path, config.data.max_dialogues))
        return len(self.loaded)


@pytest.fixture
def call(tmp_path):
    return Calls(tmp_path / "study")


def lines(printed):
    return [line for line in printed.splitlines() if line.startswith("[")]


def test_each_cell_is_run_and_then_none(call):
    study = make_study(variants=2, seeds=2)
    outcome = call(study)
    assert (set(outcome.complete), outcome.failed) == (set(study.cells), {})
    assert call.train.calls == [("v0", 0), ("v0", 1), ("v1", 0), ("v1", 1)]
    assert call.printed.startswith(
        "study    stub: Does it run?\nruns     4: 1 corpus x 2 variants x 2 seeds\n"
    )
    assert [line.partition("  ")[0] for line in lines(call.printed)] == [
        f"[{n + 1}/4] talk, v{n // 2}, seed {n % 2}" for n in range(4)
    ]
    assert "  dev weighted F1 12.00  0 s" in lines(call.printed)[3]
    assert "disk     a run takes up to" in call.printed
    for cell in study.cells:
        assert cells.is_tidy(cells.folder_of(call.folder, cell))
    again = call(study)
    assert (again, call.train.calls, call.loaded) == (outcome, [], [])
    assert "4 complete" in call.printed
    # What was added, alone.
    call(make_study(variants=3, seeds=2))
    assert call.train.calls == [("v2", 0), ("v2", 1)]


@pytest.mark.slow
def test_runs_that_share_stand_together_and_are_loaded_for_once(call):
    """Two encoders on two corpora: four times one corpus and encoder."""
    axes = {
        "x": {"v0": {"loss.temperature": 0.1}, "v1": {"loss.temperature": 1.1}},
        "encoder": {"small": {"encoder.path": "small"}, "large": {"encoder.path": "large"}},
    }
    study = make_study(axes=axes, corpora=("talk", "more"))
    call(study)
    assert call.loaded == [("small", 1), ("large", 1), ("small", 2), ("large", 2)]
    random = make_study(
        1, 3, axes={"x": {"r": {"encoder.random_weights": True}}}, name="random weights"
    )
    other = Calls(call.folder.with_name("random"))
    other(random)
    assert len(other.loaded) == 3


def test_processes_begin_with_variants_of_their_own(call):
    """What another is at is compiled there, and here only where nothing else is left."""
    study = make_study(variants=3, seeds=2)
    call.folder.mkdir()
    claims = Claims(call.folder / cells.CLAIMS)
    theirs = [claims.take(f"talk/v{variant}/seed-0") for variant in (0, 2)]

    def step(config, number):
        while theirs and len(call.train.calls) == 4:
            theirs.pop().give_back()

    call.train.step = step
    call(study)
    assert call.train.calls[:4] == [("v1", 0), ("v1", 1), ("v0", 1), ("v2", 1)]
    assert call.train.calls[4:] == [("v2", 0), ("v0", 0)]


def test_some_of_it(call):
    study = make_study(variants=3, seeds=3, corpora=("talk", "more"))
    call(study, only="more/v[01]", seeds=[0, 2])
    assert call.train.calls == [("v0", 0), ("v0", 2), ("v1", 0), ("v1", 2)]
    assert "18: 2 corpora x 3 variants x 3 seeds; 4 of them chosen" in call.printed
    with pytest.raises(UserError, match="no variant is like 'v9'; there are 'v0', 'v1', 'v2'"):
        plan.select(study, "v9")
    with pytest.raises(UserError, match="the study has no seed 7; it has 0, 1, 2"):
        plan.select(study, seeds=[0, 7])


def test_a_name_that_looks_like_a_pattern_is_found_by_itself():
    values = {name: {"loss.temperature": n + 1} for n, name in enumerate(("[CLS] x", "C x", "D"))}
    study = make_study(seeds=1, corpora=("talk", "more"), axes={"x": values})

    def chosen(only):
        return [(cell.corpus, cell.variant) for cell in plan.select(study, only)]

    assert chosen("[CLS] x") == [("talk", "[CLS] x"), ("more", "[CLS] x")]
    assert chosen("more/[CLS] x") == [("more", "[CLS] x")]
    assert chosen("talk/[CD]*") == [("talk", "C x"), ("talk", "D")]


@pytest.mark.slow
@pytest.mark.parametrize("error", [UserError("no room."), RuntimeError("no memory")])
def test_a_failed_cell_is_shown_and_the_others_go_on(call, error):
    study = make_study(variants=2, seeds=1)

    def fail(config, step):
        if config.loss.temperature == 0.1:
            raise error

    call.train.step = fail
    outcome = call(study)
    (failed,), (complete,) = outcome.failed, outcome.complete
    assert (failed.variant, complete.variant) == ("v0", "v1")
    assert str(error) in outcome.failed[failed].reason
    assert f"FAILED: {outcome.failed[failed].reason}" in call.printed
    # What is loaded may be what there was too little memory with.
    assert len(call.loaded) == 2
    # The next call tries it again.
    call.train.step = lambda *_: None
    assert (call(study).failed, call.train.calls) == ({}, [("v0", 0)])
    assert "1 failed before" in call.printed
    assert cells.is_tidy(cells.folder_of(call.folder, failed))


def test_a_cell_that_fails_while_it_is_loaded(call):
    def load(config):
        raise UserError("no such encoder.")

    outcome = call(make_study(variants=1, seeds=1), load=load)
    assert [failure.reason for failure in outcome.failed.values()] == ["no such encoder."]
    # Its folder is no run's yet, and can become one.
    assert call(make_study(variants=1, seeds=1)).failed == {}


def test_what_failed_at_the_moment_when_a_call_begins_is_tried_again(call):
    def load(config):
        raise UserError("no such encoder.")

    study = make_study(variants=1, seeds=1)
    call(study, load=load)
    failed = cells.folder_of(call.folder, study.cells[0]) / cells.FAILED
    # Times of files have steps.
    assert call(study, since=failed.stat().st_mtime).failed == {}


@pytest.mark.slow
def test_failing_in_another_process_since_this_call_began_counts(call):
    study = make_study(variants=2, seeds=1)

    def fail(config, step):
        cells.write_failure(cells.folder_of(call.folder, study.cells[1]), UserError("there."))

    call.train.step = fail
    outcome = call(study)
    assert call.train.calls == [("v0", 0)]
    assert list(outcome.failed) == [study.cells[1]]


def test_asked_to_stop_it_goes_on_later(call):
    study, stop = make_study(variants=2, seeds=1), StopRequest()
    heeded = []

    def step(config, number):
        heeded.append(stop.heeded)
        stop.ask(signal.SIGINT)

    call.train.step = step
    with pytest.raises(Interrupted) as stopped:
        call(study, stop=stop)
    assert stopped.value.number == signal.SIGINT
    assert heeded == [True]
    assert not stop.heeded
    assert Claims(call.folder / cells.CLAIMS).claimant("talk/v0/seed-0") is None
    call.train.step = lambda config, number: heeded.append(number)
    call(study)
    assert heeded == [True, 1, 0, 1]  # from where it was
    assert "1 begun" in call.printed


def test_a_stop_between_cells_is_heeded(call):
    stop = StopRequest()
    stop.ask()
    with pytest.raises(Interrupted):
        call(make_study(), stop=stop)
    assert call.train.calls == []


@pytest.mark.slow
def test_a_run_that_was_taken_over_stops_and_the_others_go_on(call):
    """Another machine takes the first cell while it is run here, and completes it."""
    study = make_study(variants=2, seeds=1)
    folder = cells.folder_of(call.folder, study.cells[0])
    claims = call.folder / cells.CLAIMS / cells.name_of(study.cells[0])
    taken = []

    def step(config, number):
        if not taken:
            (claims / "2").touch()
            taken.append(number)
            time.sleep(0.5)  # several times the heartbeat

    def complete():
        while "taken this run over" not in "".join(printed):
            time.sleep(0.01)
        (folder / "results.json").touch()

    printed = []
    call.train.step = step
    call.train.steps = 3
    stream = io.StringIO()
    stream.write = printed.append
    other = threading.Thread(target=complete)
    other.start()
    outcome = run_study(
        study,
        call.folder,
        train=call.train,
        load=call.load,
        console=Console(file=stream),
        expiry=0.6,
        poll=0.02,
    )
    other.join()
    assert call.train.calls == [("v0", 0), ("v1", 0)]
    assert set(outcome.complete) == set(study.cells)


@pytest.mark.parametrize("end", [None, RuntimeError("no such file")])
def test_a_folder_that_is_moved_ends_it(call, end):
    """Nothing is begun anew under the old name; where the folder is now the study goes on."""
    study, moved = make_study(variants=2, seeds=1), call.folder.with_name("moved")

    def step(config, number):
        if not moved.exists():
            call.folder.rename(moved)
            if end is not None:
                raise end

    call.train.step = step
    with pytest.raises(UserError, match="new place as workdir") as error:
        call(study)
    assert str(error.value).startswith(f"workdir {call.folder}: study.config.json is no longer")
    assert call.train.calls == [("v0", 0)]
    assert not (call.folder / cells.CLAIMS).exists()
    again = Calls(moved)
    assert set(again(study).complete) == set(study.cells)
    assert "waiting" not in again.printed


def test_a_folder_that_is_moved_ends_waiting(call, monkeypatch):
    study, moved = make_study(variants=1, seeds=1), call.folder.with_name("moved")
    cells.register(study, call.folder)
    claim = Claims(call.folder / cells.CLAIMS).take(cells.name_of(study.cells[0]))
    monkeypatch.setattr(time, "sleep", lambda _: moved.exists() or call.folder.rename(moved))
    with pytest.raises(UserError, match="Move the folder back, or run the same command"):
        call(study)
    assert not call.folder.exists()
    claim.give_back()


def test_a_cell_that_was_completed_before_it_was_claimed_is_not_run(call, monkeypatch):
    study = make_study(variants=1, seeds=1)
    folder = cells.folder_of(call.folder, study.cells[0])
    take = Claims.take

    def late(self, name, on_lost=None):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").touch()
        (folder / "checkpoints").mkdir(exist_ok=True)
        return take(self, name, on_lost)

    monkeypatch.setattr(Claims, "take", late)
    call(study)
    assert call.train.calls == []
    assert cells.is_tidy(folder)


def test_what_a_killed_process_left_of_a_complete_cell_goes(call):
    study = make_study(variants=1, seeds=1)
    cells.register(study, call.folder)
    folder = cells.folder_of(call.folder, study.cells[0])
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "results.json").touch()
    claim = call.folder / cells.CLAIMS / cells.name_of(study.cells[0]) / "1"
    claim.parent.mkdir(parents=True)
    claim.touch()
    os.utime(claim, (0, 0))
    call(study)
    assert cells.is_tidy(folder)
    assert not claim.exists()


@pytest.mark.slow
def test_a_folder_that_another_trains_in_is_waited_for(call):
    study, tries = make_study(variants=1, seeds=1), []

    def train(config, folder, **options):
        tries.append(1)
        if len(tries) < 3:
            try:
                raise Timeout("lock")
            except Timeout as error:
                raise UserError("another process is training in this folder") from error
        return call.train(config, folder, **options)

    assert call(study, train=train).failed == {}
    assert len(tries) == 3
    assert "waiting for 1 run of others" in call.printed


@pytest.fixture
def transfers(call):
    """A call on two corpora, each run to answer the other too; `answered` by a stand-in."""
    call.train.keep = (cells.MODEL,)
    call.answered, call.before_answering = [], lambda: None

    def answer(cell, folder, *, stop, load):
        call.before_answering()
        assert (folder / cells.MODEL).is_dir()
        for each in cell.transfers:
            file = cells.transfer_file(folder, each)
            if not file.exists():
                call.answered.append((cell.corpus, each.examples))
                file.parent.mkdir(exist_ok=True)
                file.touch()

    def run(transfer=(0,)):
        call.answered.clear()
        study = make_study(1, 1, ("talk", "more"), transfer=transfer)
        return study, call(study, answer=answer)

    return run


@pytest.mark.slow
def test_other_corpora_are_answered_and_the_model_goes(call, transfers):
    study, done = transfers((0, 5))
    assert set(done.complete) == set(study.cells)
    assert call.train.calls == [("v0", 0), ("v0", 0)]
    assert call.answered == [(corpus, n) for corpus in ("talk", "more") for n in (0, 5)]
    assert "each also answers the other corpora" in call.printed
    for cell in study.cells:
        assert cells.is_tidy(cells.folder_of(call.folder, cell))
        assert not (cells.folder_of(call.folder, cell) / cells.MODEL).exists()
    assert transfers((0, 5))[1] == done
    assert (call.train.calls, call.answered) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize("end", [KeyboardInterrupt(), UserError("no such label.")])
def test_a_run_that_ended_before_it_answered_is_not_trained_again(call, transfers, end):
    def stop():
        raise end

    call.before_answering = stop
    killed = isinstance(end, KeyboardInterrupt)  # as if
    if killed:
        with pytest.raises(KeyboardInterrupt):
            transfers()
    else:
        _, done = transfers()
        assert [failure.reason for failure in done.failed.values()] == ["no such label."] * 2
    study = make_study(1, 1, ("talk", "more"), transfer=(0,))
    assert outcome.find(study, call.folder).complete == ()
    call.before_answering = lambda: None
    _, done = transfers()
    assert set(done.complete) == set(study.cells)
    assert call.train.calls == ([("v0", 0)] if killed else [])  # the other cell's
    assert call.answered == [("talk", 0), ("more", 0)]


@pytest.mark.slow
def test_more_to_answer_takes_the_model_again(call, transfers):
    """It was dropped, so the run is trained again, and answers all by the new one."""
    transfers((0,))
    study, done = transfers((0, 5))
    assert call.train.calls == [("v0", 0), ("v0", 0)]
    assert call.answered == [(corpus, n) for corpus in ("talk", "more") for n in (0, 5)]
    assert set(done.complete) == set(study.cells)
    # Less of it is there already.
    transfers((5,))
    assert (call.train.calls, call.answered) == ([], [])


def test_another_studys_folder_is_refused_before_anything_runs(call):
    call(make_study(variants=1))
    with pytest.raises(UserError, match="holds the study 'stub'"):
        call(make_study(name="other"))
    assert call.train.calls == []


def test_what_would_be_done(call):
    study = make_study(variants=4, seeds=1)
    _, second, third, _ = study.cells
    call(study, only="v0")
    cells.write_failure(cells.folder_of(call.folder, second), UserError("no room."))
    claim = Claims(call.folder / cells.CLAIMS).take(cells.name_of(third))
    words = [each.words for each in plan.plan(plan.select(study), call.folder)]
    assert words[0] == "complete"
    assert words[1] == "failed before, would be tried again: no room."
    assert words[2].startswith(f"being run by process {os.getpid()} on")
    assert words[3] == "would be run"
    claim.give_back()


def test_time_left_is_of_the_runs_seen(tmp_path):
    study = make_study(variants=2, seeds=3, corpora=("talk", "more"))
    pace = Pace(tmp_path)
    of = {(c.corpus, c.variant, c.seed): c for c in study.cells}
    assert pace.left(study.cells, 1) == "time left not known yet"
    pace.add(of["talk", "v0", 0], 10.0)
    pace.add(of["talk", "v0", 1], 30.0)
    pace.add(of["talk", "v0", 2], 20.0)
    pace.add(of["more", "v0", 0], 100.0)
    rest = [of["talk", "v1", 0], of["more", "v0", 1], of["more", "v0", 2]]
    # 20 as the other variant of its corpus, and 100 twice.
    assert pace.left(rest[1:], 1) == "about 0:03:20 left"
    assert pace.left(rest, 1) == "about 0:03:40 left, 1 variant not seen yet taken as the others"
    assert pace.left(rest[1:], 2) == "about 0:01:40 left, by 2 processes"
    assert pace.left((), 1) == "nothing left"


def test_time_is_learnt_from_what_others_completed(tmp_path):
    study = make_study(variants=1, seeds=3)
    values = {"parameters": 1, "trained": 1, "train_examples": 1, "examples_per_second": 1.0}
    for cell, seconds, resumed in zip(study.cells, (50.0, 1.0), (False, True), strict=False):
        folder = cells.folder_of(tmp_path, cell)
        folder.mkdir(parents=True)
        cost.write_cost(
            folder, cost.Cost(**values, epochs=1, seconds=seconds, device="x", resumed=resumed)
        )
    pace = Pace(tmp_path)
    pace.look(study.cells)
    assert pace.left(study.cells[2:], 1) == "about 0:00:50 left"


def test_disk(tmp_path):
    printed = disk(tmp_path, running=270_000_000, kept=1500, rest=3)
    assert "up to 270.0 MB while it goes on, and keeps 1.5 kB; the 3 that are left" in printed
    assert "not enough" not in printed
    assert disk(tmp_path, running=10**18, kept=1, rest=1).endswith("- not enough")


def test_run_folder_refuses_a_folder_in_use_by_a_timeout(tmp_path):
    """What tells a cell in use from one that failed."""
    with (
        run_folder.locked(tmp_path),
        pytest.raises(UserError) as error,
        run_folder.locked(tmp_path),
    ):
        pass
    assert isinstance(error.value.__cause__, Timeout)
