"""A chain over the labels of a dialogue, from training to answers."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from eacl_jax import EmotionRecognizer
from eacl_jax.config import Stage
from eacl_jax.corpora.iemocap import Iemocap
from eacl_jax.errors import UserError
from eacl_jax.training import run, run_folder
from eacl_jax.training.evaluation import evaluate, print_scores
from eacl_jax.training.outputs import read_outputs
from tests.stubs.run import make_run
from tests.stubs.toys import make_config, make_encoder_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose model has a chain, whatever dev says of it."""
    changes = {"sequence__crf": True, "sequence__only_if_better": False}
    return make_run(tmp_path_factory.mktemp("chained"), **changes)


@pytest.mark.slow
def test_the_model_answers_and_is_scored_as_the_run(folder):
    results = run_folder.read_results(folder)
    assert results.sequence is not None
    assert results.stage_two.test == results.sequence.whole.test
    for split in ("dev", "test"):
        scores = evaluate(folder, split)
        assert scores[Stage.TWO] == getattr(results.stage_two, split).to_json()
        console = Console(width=120)
        with console.capture() as shown:
            print_scores(folder, split, scores, console)
        assert "the same as results.json" in shown.get()
    recognizer = EmotionRecognizer.from_pretrained(folder)
    test = json.loads((folder / "config.json").read_text(encoding="utf-8"))["data"]["test"]
    lines = Path(test).read_text(encoding="utf-8").splitlines()
    answers = [each for found in recognizer.predict([*map(json.loads, lines)]) for each in found]
    outputs = read_outputs(folder).splits["test"]
    index = recognizer.labels.index
    assert [index(each.emotion) for each in answers] == outputs.answers[Stage.TWO].tolist()
    scores = outputs.scores[Stage.TWO] / results.stage_two.calibration.temperature
    expected = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    given = [[*each.probabilities.values()] for each in answers]
    np.testing.assert_allclose(given, expected, atol=1e-5)


def test_the_run_says_what_the_chain_changes(folder):
    console = Console(width=120)
    config = run_folder.read_config(folder)
    with console.capture() as shown:
        run.train(config, folder, console=console)  # it is complete: it says what it gave
    assert "the dialogue as a sequence, stage two (kept)" in shown.get()
    assert "by the past alone" in shown.get()
    report = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "The dialogue as a sequence" in report
    found = run_folder.read_results(folder).sequence
    card = " ".join((folder / "model" / "README.md").read_text(encoding="utf-8").split())
    assert f"without which weighted F1 on test is {found.alone.test.weighted_f1:.2f}" in card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"sequence__penalty": 2.0},
            "config.sequence.penalty: has no effect without sequence.crf; leave it at 1.0",
        ),
        ({"sequence__crf": True, "sequence__penalty": 0.0}, "config.sequence.penalty: must be"),
        ({"sequence__crf": True, "sequence__decoding": "best"}, "config.sequence.decoding"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(UserError, match=message):
        make_config({}, **changes)


def test_single_utterances_have_no_sequence(folder, tmp_path):
    train = tmp_path / "train.jsonl"
    one = '{"utterances": [{"speaker": "Ann", "text": "hi", "emotion": "%s"}]}\n'
    train.write_text("".join(one % label for label in ("joy", "anger", "neutral")))
    config = run_folder.read_config(folder)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, train=str(train)))
    with pytest.raises(UserError, match="no dialogue of the training split of custom has two"):
        run.train(config, tmp_path / "run", console=Console(quiet=True))


@pytest.mark.slow
def test_iemocap_by_its_exchanged_files_with_all_that_goes_beyond(folder, tmp_path, monkeypatch):
    """Some of its utterances have no label. Nothing about it is a special case."""
    monkeypatch.setattr(Iemocap, "EXPECTED", {})  # the published counts
    rng, kinds = np.random.default_rng(0), ("hap", "sad", "neu", "ang", "exc", "fru")
    for split in ("train", "dev", "test"):
        dialogues = [
            [
                {
                    "text": f"the day is {kinds[(number + turn // 2) % 6]}",
                    "speaker": f"Ses01F_impro{split}{number}_{'FM'[turn % 2]}",
                    **({} if rng.random() < 0.2 else {"label": kinds[(number + turn // 2) % 6]}),
                }
                for turn in range(6)
            ]
            for number in range(12)
        ]
        (tmp_path / "iemocap").mkdir(exist_ok=True)
        (tmp_path / "iemocap" / f"{split}_data.json").write_text(json.dumps(dialogues))
    encoder = make_encoder_folder(
        tmp_path / "encoder", more=[label for label in Iemocap.LABELS if label != "neutral"]
    )
    settings = {
        "data.corpus": "iemocap",
        "data.dir": str(tmp_path),
        "data.cache_dir": str(tmp_path / "cache"),
        "encoder.path": str(encoder),
        "prompt.max_tokens": 64,
        "prompt.max_past": 3,
        "prompt.max_future": 2,
        "stage_one.epochs": 2,
        "stage_one.batch_size": 16,
        "stage_one.average": 0.9,
        "stage_one.soup": 2,
        "stage_one.schedule": "cosine",
        "stage_one.warmup": 0.2,
        "stage_two.epochs": 2,
        "stage_two.biases": True,
        "stage_two.bias_lr": 0.01,
        "evaluation.prior": True,
        "loss.smoothing": 0.1,
        "loss.r_drop": 0.5,
        "loss.adversarial": 0.5,
        "sequence.crf": True,
        "sequence.only_if_better": False,
    }
    run.train(make_config(settings), tmp_path / "run", console=Console(quiet=True))
    results = run_folder.read_results(tmp_path / "run")
    for split in ("dev", "test"):
        found = evaluate(tmp_path / "run", split)
        assert found[Stage.TWO] == getattr(results.stage_two, split).to_json()
