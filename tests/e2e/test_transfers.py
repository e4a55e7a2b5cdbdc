"""Runs of a study answer its other corpora: a whole one, tiny."""

import dataclasses
import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from rich.console import Console

from eacl_jax import EmotionRecognizer, corpora
from eacl_jax.model.passes import Passes
from eacl_jax.studies import cells, outcome, reading
from eacl_jax.studies.runner import run_study
from eacl_jax.studies.transfers import answer_transfers, draw, read_transfers
from eacl_jax.training.loop import Interrupted, StopRequest
from eacl_jax.training.outputs import read_outputs
from tests.stubs.toys import make_config, make_corpus_files

pytestmark = pytest.mark.slow
OTHER = {"joy": "lovely", "anger": "awful", "neutral": "monday"}


@pytest.fixture(scope="module")
def values(toy, tmp_path_factory):
    """A study of the toy corpus, and of one whose labels are other words."""
    folder = tmp_path_factory.mktemp("other")
    paths = make_corpus_files(folder, dialogues=12, seed=1)
    for path in map(Path, paths.values()):
        text = path.read_text()
        for label, other in OTHER.items():
            text = text.replace(f'"emotion": "{label}"', f'"emotion": "{other}"')
        path.write_text(text)
    base = make_config(toy, data__max_dialogues=12, stage_one__epochs=1, stage_two__epochs=1)
    return {
        "name": "transfers",
        "question": "What do other labels cost?",
        "base": base.to_dict(),
        "corpora": {"talk": {}, "other": {f"data.{split}": at for split, at in paths.items()}},
        "axes": {"training": {"supervised": {}}},
        "seeds": (3,),
        "transfer": (0, 2),
        "comparisons": [
            [f"from {source}: {how}", "supervised"]
            for source in ("talk", "other")
            for how in ("words alone", "2 examples a label")
        ],
    }


@pytest.fixture(scope="module")
def done(values, tmp_path_factory):
    """The study, its folder, and folders with the models that it dropped, by corpus."""
    folder = tmp_path_factory.mktemp("transfers")
    study = reading.read_study(values)

    def answer(cell, where, **options):
        shutil.copytree(where / cells.MODEL, folder / cell.corpus / cells.MODEL)
        answer_transfers(cell, where, **options)

    run_study(study, folder / "study", answer=answer, console=Console(quiet=True))
    return study, folder / "study", {each: folder / each for each in study.corpora}


def test_answers_are_those_of_the_model_with_other_labels(done):
    study, workdir, models = done
    talk, other = study.cells
    folder = cells.folder_of(workdir, talk)
    assert not (folder / cells.MODEL).exists()
    corpus = corpora.load(other.config.data)
    recognizer = EmotionRecognizer.from_pretrained(models["talk"]).with_labels(
        sorted(OTHER.values())
    )
    supervised = read_outputs(cells.folder_of(workdir, other))
    test = supervised.splits["test"]
    for found, examples in zip(read_transfers(talk, folder), (0, 2), strict=True):
        assert (found.corpus, found.seed, found.labels) == ("other", 3, supervised.labels)
        np.testing.assert_array_equal(found.gold, test.gold)
        np.testing.assert_array_equal(found.dialogues, test.dialogues)
        asked = recognizer
        if examples:
            drawn = draw(corpus.splits["train"], examples, (3, crc32(b"other")))
            asked = recognizer.adapt(drawn, seed=3)
            assert set(asked.adaptation.examples.values()) == {examples}
        answers = asked.predict(list(corpus.splits["test"]))
        assert [found.labels[i] for i in found.answers] == [a.emotion for d in answers for a in d]
        assert found.scores.shape == (len(test.gold), 3)


def test_they_are_rows_beside_the_supervised_run_and_compared_with_it(done):
    study, workdir, _ = done
    table, *_ = outcome.write_results(study, workdir)
    assert [row.variant for row in table.of("other")] == [
        "supervised",
        "from talk: words alone",
        "from talk: 2 examples a label",
    ]
    assert len(table.comparisons) == 2 * 4
    assert all(each.difference is not None for each in table.comparisons)
    assert {each.first[0] for each in table.comparisons} == {"supervised"}


def test_test_is_represented_once_and_a_stop_keeps_what_is_there(done, tmp_path, monkeypatch):
    study, _, models = done
    represented, original = [], Passes.represent
    stop = StopRequest()

    def represent(self, params, examples):
        represented.append(len(examples))
        if len(represented) == 2:  # the examples
            stop.ask()
        return original(self, params, examples)

    monkeypatch.setattr(Passes, "represent", represent)
    loaded = corpora.load(study.cells[1].config.data)
    size = sum(len(d.utterances) for d in loaded.splits["test"])
    shutil.copytree(models["talk"], tmp_path, dirs_exist_ok=True)
    transfers = tuple(
        dataclasses.replace(study.cells[0].transfers[0], examples=examples)
        for examples in (0, 2, 1)
    )
    cell = dataclasses.replace(study.cells[0], transfers=transfers)
    with pytest.raises(Interrupted):
        answer_transfers(cell, tmp_path, stop=stop, load=lambda _: loaded)
    assert represented[0] == size
    assert represented.count(size) == 1
    kept = [cells.transfer_file(tmp_path, each).exists() for each in transfers]
    assert kept == [True, True, False]
    assert not stop.heeded
    answer_transfers(cell, tmp_path, load=lambda _: loaded)
    assert represented.count(size) == 2
    assert cells.transfer_file(tmp_path, transfers[2]).exists()


def test_a_dropped_model_is_made_again(values, done):
    """By the same numbers, on a CPU."""
    study, workdir, _ = done
    before = [read_transfers(c, cells.folder_of(workdir, c)) for c in study.cells]
    grown = reading.read_study({**values, "transfer": (0, 2, 1)})
    run_study(grown, workdir, only="other/*", console=Console(quiet=True))
    cell = grown.cells[1]
    assert cells.state_of(workdir, cell) is cells.State.COMPLETE
    again = read_transfers(cell, cells.folder_of(workdir, cell))
    for one, other in zip(before[1], again[:2], strict=True):
        np.testing.assert_array_equal(one.scores, other.scores)
    assert again[2].variant == "from other: 1 example a label"
