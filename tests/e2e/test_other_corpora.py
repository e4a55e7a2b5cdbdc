"""A run that learns from another corpus beside the one it is of."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from eacl_jax.config import Stage
from eacl_jax.corpora import others
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.mesh import make_mesh
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import cost, evaluation, experiment, loop, run
from eacl_jax.training.optim import stage_one_optimizer
from eacl_jax.training.training_sets import batches_per_epoch, other_heads
from tests.e2e.test_tuning import StopAfter
from tests.e2e.test_variants import QUIET, SHORT, numbers
from tests.stubs.toys import WORDS, make_config

pytestmark = pytest.mark.slow

MOODS = {"pleased": "lovely", "cross": "rude"}


def theirs(words=WORDS):
    """Of two labels, with the words of the run's, and one dialogue of its test."""
    dialogues = [
        Dialogue(
            f"{number}",
            (
                Utterance("Cleo", f"the day is {words['joy'][number % 3]}", "pleased"),
                Utterance("Bob", f"{words['anger'][number % 3]} day", "cross"),
            ),
        )
        for number in range(15)
    ]
    return Corpus(
        "meld",
        Taxonomy(tuple(MOODS), tuple(MOODS.values())),
        dict.fromkeys(("train", "dev", "test"), tuple(dialogues)),
    )


@pytest.fixture(autouse=True)
def read(monkeypatch):
    monkeypatch.setattr(experiment, "make_mesh", lambda: make_mesh(1))
    monkeypatch.setattr(others, "read", lambda *_: theirs())


def test_it_goes_on_identically_and_its_model_answers_as_it_scored(
    toy, tmp_path, monkeypatch, capsys
):
    config = make_config(toy, **SHORT, data__also=("meld=FOLDER",), encoder__lora_rank=2)
    loaded = experiment.load(config)
    results = run.train(config, tmp_path / "whole", loaded=loaded, keep=(), console=Console())
    assert "also     meld: 30 train utterances, labels pleased, cross" in capsys.readouterr().out
    with pytest.raises(loop.Interrupted):
        run.train(config, tmp_path / "run", loaded=loaded, stop=StopAfter(9), console=QUIET)
    assert 0 < len(numbers(tmp_path / "run")) < len(numbers(tmp_path / "whole"))
    assert results == run.train(config, tmp_path / "run", loaded=loaded, console=QUIET)
    assert numbers(tmp_path / "run") == numbers(tmp_path / "whole")
    scores = evaluation.evaluate(tmp_path / "run", "test")  # by the saved recognizer
    assert scores == {stage: results.of(Stage(stage)).test.to_json() for stage in scores}
    given = json.loads((tmp_path / "run" / "data.json").read_text())["also"]["meld"]
    assert (given["utterances"], given["words"]) == (30, ["lovely", "rude"])
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    spent = cost.read_cost(tmp_path / "run")
    count = sum(len(dialogue.utterances) for dialogue in loaded.corpus.splits["train"])
    batches = batches_per_epoch([count, 30], 16, 0.5)[1]
    assert spent.train_examples == count + 16 * batches
    assert "also drew from 30 training utterances of MELD, dialogues of a tel" in card
    assert "series: this project does not know its terms" in card
    recognizer = EmotionRecognizer.from_pretrained(tmp_path / "run")
    assert recognizer.facts.also == {"meld": 30}
    changed = {**WORDS, "joy": ["good"] * 3}
    monkeypatch.setattr(others, "read", lambda *_: theirs(changed))
    with pytest.raises(UserError, match="labels or words of meld, learnt from beside"):
        run.train(config, tmp_path / "run", console=QUIET)


def test_labels_that_cannot_be_told_apart_name_their_corpus(toy, monkeypatch):
    alike = Taxonomy(tuple(MOODS), ("lovely", "Lovely"))
    monkeypatch.setattr(others, "read", lambda *_: Corpus("meld", alike, theirs().splits))
    config = make_config(toy, data__also=("meld",))
    with pytest.raises(UserError, match=r"config\.data\.also, meld: labels cannot be told apart"):
        experiment.prepare(config)


def test_a_run_that_reads_features_is_refused(toy, tmp_path):
    """They are read where `features.use` names none, as soon as there are any."""
    paths = {}
    for split in ("train", "dev", "test"):
        lines = []
        for line in Path(toy[f"data.{split}"]).read_text().splitlines():
            record = json.loads(line)
            for utterance in record["utterances"]:
                utterance["features"] = {"voice": [0.5, 1.0]}
            lines.append(json.dumps(record))
        paths[f"data.{split}"] = str(tmp_path / f"{split}.jsonl")
        Path(paths[f"data.{split}"]).write_text("\n".join(lines) + "\n")
    config = make_config({**toy, **paths}, data__also=("meld",))
    with pytest.raises(UserError, match=r"do not have the features beside the text.*voice"):
        experiment.prepare(config)


def test_a_row_holds_the_classifier_of_another_corpus(toy):
    rates = ("others/meld/.*=0", ".*=1")
    config = make_config(toy, data__also=("meld=FOLDER",), stage_one__rates=rates)
    prepared = experiment.prepare(config)
    params = {**prepared.params, **other_heads(prepared.others, prepared.params, config.seed)}
    optimizer = stage_one_optimizer(config.stage_one, params, 10, rates=prepared.rates)
    updates, _ = optimizer.update(
        jax.tree.map(np.ones_like, params), optimizer.init(params), params
    )
    assert not any(np.any(update) for update in jax.tree.leaves(updates["others"]))
    assert np.any(updates["predictor"]["kernel"])
    count = sum(x.size for x in jax.tree.leaves(prepared.params))
    assert cost.trained_parameters(prepared) == count
    unnamed = make_config(toy, data__also=("meld=FOLDER",), stage_one__rates=("(?!others).*=1",))
    with pytest.raises(UserError, match="no row for the parameter others/meld/bias"):
        experiment.prepare(unnamed)
