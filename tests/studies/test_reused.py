"""Complete runs that lie elsewhere stand in for a study's cells that they are."""

import io

import pytest
from rich.console import Console

from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.studies import cells, plan
from eacl_jax.studies.gather import read_cell
from eacl_jax.studies.reused import Reused
from eacl_jax.studies.runner import run_study
from eacl_jax.training import run_folder
from tests.stubs.studies import Train, make_study


class Studies:
    """Studies in folders beside each other, which train in stand-ins."""

    def __init__(self, folder):
        self.folder, self.train = folder, Train()

    def __call__(self, study, name, *reuse):
        """Runs a study in a folder; the runs that were trained, "v0" at temperature 0.1."""
        self.train.calls.clear()
        stream = io.StringIO()
        workdir = self.folder / name
        run_study(
            study,
            workdir,
            reused=Reused(study, [self.folder / each for each in reuse], workdir),
            train=self.train,
            load=lambda _: None,
            console=Console(file=stream, width=500),
        )
        for cell in study.cells:  # what real runs keep, and the stand-ins do not
            data = study.given[cell.corpus, cell.variant]
            whole.write_json(cells.folder_of(workdir, cell) / run_folder.DATA, data)
        self.printed = stream.getvalue()
        return self.train.calls


@pytest.fixture
def studies(tmp_path):
    return Studies(tmp_path)


def test_a_run_of_the_same_settings_and_data_is_taken(studies):
    """Whatever its study and variant are called; seeds and variants that are new are run."""
    assert len(studies(make_study(2, 2), "first")) == 4
    base = {"recipe": {"loss.temperature": 1.1}, "hot": {"loss.temperature": 2.1}}
    study = make_study(seeds=3, name="second", axes={"y": base})
    assert studies(study, "second", "first") == [("v1", 2), ("v2", 0), ("v2", 1), ("v2", 2)]
    source = studies.folder / "first" / "cells" / "talk" / "v1" / "seed-0"
    assert "reused   2 of the chosen runs are complete in" in studies.printed
    assert f"[1/6] talk, recipe, seed 0  dev weighted F1 11.00  taken from {source}" in (
        studies.printed
    )
    taken = studies.folder / "second" / "cells" / "talk" / "recipe" / "seed-0"
    files = {file.name for file in source.iterdir()}
    assert {file.name: file.read_bytes() for file in taken.iterdir()} == {
        name: (source / name).read_bytes() for name in files
    }
    for cell in study.cells:
        read_cell(cell, cells.folder_of(studies.folder / "second", cell))
    assert studies(study, "second", "first") == []


def test_a_single_trainings_run_is_taken_and_its_model_left(studies):
    study = make_study(1, 1)
    studies(study, "first")
    run = (studies.folder / "first" / "cells" / "talk" / "v0" / "seed-0").rename(
        studies.folder / "trained"
    )
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text("{}")
    assert studies(study, "second", "trained") == []
    assert cells.is_tidy(cells.folder_of(studies.folder / "second", study.cells[0]))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"files": "2"}, "the encoder's config: there 1, now 2"),
        (
            {"axes": {"x": {"v0": {"loss.temperature": 3.1}}}},
            "loss.temperature: there 0.1, now 3.1",
        ),
    ],
)
def test_another_run_is_not_taken_and_what_stands_against_it_is_said(studies, changes, expected):
    studies(make_study(1, 2), "first")
    study = make_study(1, 2, name="second", **changes)
    assert len(studies(study, "second", "first")) == 2
    assert "none: of 2 complete runs in" in studies.printed
    assert f"differs from talk, v0, seed 0 in\n  {expected}\n" in studies.printed


def test_what_is_damaged_or_incomplete_is_not_taken(studies):
    study = make_study(1, 4)
    studies(study, "first")
    damaged, unfinished, unknown = (
        cells.folder_of(studies.folder / "first", c) for c in study.cells[:3]
    )
    (damaged / "outputs.safetensors").write_bytes(b"cut")
    (unfinished / run_folder.RESULTS).unlink()
    (unknown / run_folder.DATA).unlink()
    assert studies(study, "second", "first") == [("v0", 0), ("v0", 1), ("v0", 2)]
    assert f"talk, v0, seed 0: {damaged} is damaged and cannot be reused" in studies.printed
    for cell in study.cells:
        read_cell(cell, cells.folder_of(studies.folder / "second", cell))


def test_a_run_that_answers_other_corpora_is_run(studies):
    """Its model is needed, which complete runs of studies do not keep."""
    studies(make_study(1, 1, corpora=("talk", "more")), "first")
    study = make_study(1, 1, corpora=("talk", "more"), transfer=(0,), name="second")
    reused = Reused(study, [studies.folder / "first"], studies.folder / "second")
    assert [reused.of(cell) for cell in study.cells] == [None, None]
    assert reused.words(study.cells) == (
        "none: they also answer other corpora, for which a model is needed"
    )


def test_what_would_be_taken(studies, tmp_path):
    studies(make_study(1, 1), "first")
    study = make_study(2, 1, name="second")
    reused = Reused(study, [tmp_path], tmp_path / "second")
    first, second = plan.plan(study.cells, tmp_path / "second", reused)
    assert first.words == f"would be taken from {tmp_path / 'first/cells/talk/v0/seed-0'}"
    assert second.words == "would be run"
    # A study's own runs are no others'.
    own = Reused(study, [tmp_path], tmp_path / "first")
    assert own.words(study.cells) == f"none: no complete run is in {tmp_path}"
    with pytest.raises(UserError, match="nowhere, whose runs are to be reused, is not a folder"):
        Reused(study, [tmp_path / "nowhere"], tmp_path / "second")
