"""A run's test scores are those of its users: in Python, on the command line and over HTTP."""

import dataclasses
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score
from starlette.testclient import TestClient
from typer.testing import CliRunner

from eacl_jax.cli.app import app
from eacl_jax.model.abstention import fit_sets, set_scores
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import ServiceSettings
from eacl_jax.training import run_folder


@pytest.fixture(scope="module")
def test_split(toy):
    """The test file's dialogues, and the weighted F1 of answers to them."""
    with open(toy["data.test"], encoding="utf-8") as lines:
        dialogues = [json.loads(line) for line in lines]

    def weighted_f1(answers):
        gold = [u["emotion"] for d in dialogues for u in d["utterances"]]
        found = [u["emotion"] for d in answers for u in d["utterances"]]
        return 100 * f1_score(gold, found, average="weighted")

    return dialogues, weighted_f1


@pytest.fixture(scope="module")
def promised(finished):
    return pytest.approx(
        json.loads((finished / "results.json").read_text())["stage_two"]["test"]["weighted_f1"]
    )


def test_in_python(finished, test_split, promised):
    dialogues, weighted_f1 = test_split
    answers = EmotionRecognizer.from_pretrained(finished / "model").predict(dialogues)
    assert weighted_f1([answer.to_json() for answer in answers]) == promised


def test_on_the_command_line(finished, toy, test_split, promised, tmp_path):
    files = ["--input", toy["data.test"], "--output", str(tmp_path / "answers.jsonl")]
    done = CliRunner().invoke(app, ["predict", "--model", str(finished / "model"), *files])
    assert done.exit_code == 0, done.output
    assert (
        test_split[1]([json.loads(line) for line in (tmp_path / "answers.jsonl").open()])
        == promised
    )


def test_over_http(finished, test_split, promised):
    dialogues, weighted_f1 = test_split
    asked = [
        {
            "id": d["id"],
            "utterances": [
                {name: u[name] for name in ("speaker", "text")} for u in d["utterances"]
            ],
        }
        for d in dialogues
    ]
    recognizer = EmotionRecognizer.from_pretrained(finished / "model")
    with TestClient(
        create_app(recognizer, ServiceSettings(compile_ahead=False)), base_url="http://localhost"
    ) as client:
        answered = client.post("/v1/predict", json={"dialogues": asked})
    assert answered.status_code == 200, answered.text
    assert weighted_f1(answered.json()["dialogues"]) == promised


def test_what_dev_showed_is_what_users_get(finished, toy):
    """Thresholds of sets, from answers to dev; and what the results say of test."""
    recognizer = EmotionRecognizer.from_pretrained(finished / "model")
    probabilities, gold = {}, {}
    for split in ("dev", "test"):
        with open(toy[f"data.{split}"], encoding="utf-8") as lines:
            dialogues = [json.loads(line) for line in lines]
        answers = [each for found in recognizer.predict(dialogues) for each in found]
        probabilities[split] = np.array([[*each.probabilities.values()] for each in answers])
        gold[split] = np.array(
            [recognizer.labels.index(u["emotion"]) for d in dialogues for u in d["utterances"]]
        )
    dev = probabilities["dev"][np.arange(len(gold["dev"])), gold["dev"]]
    sets = recognizer.settings.sets
    assert sets is not None
    assert sets.thresholds == pytest.approx(fit_sets(dev).thresholds, abs=1e-5)
    found = run_folder.read_results(finished).abstention
    assert found is not None
    # Rounding may move a label across a threshold that it sits on, which is one of dev's.
    expected = set_scores(probabilities["test"], gold["test"], sets.threshold(90))
    assert dataclasses.asdict(found.sets["90"]) == pytest.approx(expected, abs=3)
    every = found.surest["100"]
    right = (probabilities["test"].argmax(axis=1) == gold["test"]).mean()
    assert (every.answered, every.right) == (100, pytest.approx(100 * right))
    assert "How sure it is" in (finished / "report" / "index.html").read_text()
    assert (finished / "report" / "figures" / "surest.png").is_file()
    assert "## Where it is unsure" in (finished / "model" / "README.md").read_text()
