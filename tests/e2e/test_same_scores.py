"""A run's test scores are those of its users: in Python, on the command line and over HTTP."""

import json

import pytest
from sklearn.metrics import f1_score
from starlette.testclient import TestClient
from typer.testing import CliRunner

from eacl_jax.cli.app import app
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.serving.http.app import create_app
from eacl_jax.serving.settings import ServiceSettings


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
        create_app(recognizer, ServiceSettings(warm=False)), base_url="http://localhost"
    ) as client:
        answered = client.post("/v1/predict", json={"dialogues": asked})
    assert answered.status_code == 200, answered.text
    assert weighted_f1(answered.json()["dialogues"]) == promised
