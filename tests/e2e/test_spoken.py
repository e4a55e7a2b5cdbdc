"""smalltalk's lines spoken by a machine, in a voice that goes by the emotion: sound files in, answers
out, through library, command and service. It shows that the parts fit together, not that emotions
can be heard in voices: the voice is made of the label.
"""

import asyncio
import base64
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from eacl_jax import corpora
from eacl_jax.cli.app import app
from eacl_jax.config import DataConfig
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.training import run
from tests.stubs.service import serving
from tests.stubs.toys import make_config

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"),
]
# Pitch, words a minute and loudness, as espeak-ng takes them, of the labels that the toy's
# tokenizer knows.
VOICES = {"anger": (30, 230, 180), "joy": (90, 190, 140), "neutral": (45, 130, 80)}
LINES = {"train": 60, "dev": 20, "test": 20}
"""Of each label."""
TEXT = "The day is good"


def speak(text: str, emotion: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pitch, pace, loudness = map(str, VOICES[emotion])
    how = ["-v", "en", "-p", pitch, "-s", pace, "-a", loudness, "-w", str(file)]
    subprocess.run(["espeak-ng", *how, "--", text], check=True)


@pytest.fixture(scope="module")
def spoken(toy, tmp_path_factory):
    """Settings of a run on lines whose text is one and the same, and whose sound tells them
    apart; and their folder.
    """
    folder = tmp_path_factory.mktemp("spoken")
    corpus = corpora.load(DataConfig(cache_dir=str(folder / "cache")))
    for split, most in LINES.items():
        records, count = [], dict.fromkeys(VOICES, 0)
        utterances = [u for dialogue in corpus.splits[split] for u in dialogue.utterances]
        for utterance in utterances:
            emotion = str(utterance.emotion)
            if count.get(emotion, most) >= most:
                continue
            count[emotion] += 1
            key = f"{split}-{len(records)}"
            speak(utterance.text, emotion, folder / "clips" / split / key / "0.wav")
            turn = {"speaker": "Ann", "text": TEXT, "emotion": emotion}
            turn["audio"] = f"clips/{split}/{key}/0.wav"
            records.append(json.dumps({"id": key, "utterances": [turn]}))
        (folder / f"{split}.jsonl").write_text("\n".join(records) + "\n")
    settings = toy | {f"data.{split}": str(folder / f"{split}.jsonl") for split in LINES}
    return settings, folder


def test_from_spoken_lines_to_answers(spoken, tmp_path):
    settings, folder = spoken
    extracted = CliRunner().invoke(
        app,
        ["features", "extract", f"--audio={folder / 'clips'}", f"--out={tmp_path / 'prosody'}"],
    )
    assert extracted.exit_code == 0, extracted.output
    results = {}
    for name, row in (("command", str(tmp_path / "prosody")), ("sound", "sound:prosody")):
        config = make_config(settings | {"data.features": (f"prosody={row}",)})
        done = run.train(config, tmp_path / name, keep=("model",), console=Console(quiet=True))
        results[name] = done.to_json()["stage_two"]["test"]
    assert results["command"] == results["sound"]
    assert results["sound"]["accuracy"] > 70  # of three labels, as frequent as each other

    model = tmp_path / "sound" / "model"
    recognizer = EmotionRecognizer.from_pretrained(model)
    dialogues = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    answers = [each[0].emotion for each in recognizer.predict(dialogues, sounds=folder)]
    gold = [each["utterances"][0]["emotion"] for each in dialogues]
    right = 100 * np.mean([a == b for a, b in zip(answers, gold, strict=True)])
    assert right == pytest.approx(results["sound"]["accuracy"])

    output = tmp_path / "answers.jsonl"
    given = [f"--input={folder / 'test.jsonl'}", f"--output={output}", f"--sounds={folder}"]
    predicted = CliRunner().invoke(app, ["predict", f"--model={model}", *given])
    assert predicted.exit_code == 0, predicted.output
    written = [json.loads(line) for line in output.read_text().splitlines()]
    assert [each["utterances"][0]["emotion"] for each in written] == answers

    async def ask() -> list[str]:
        found = []
        async with serving(recognizer) as client:
            for dialogue in dialogues[::6]:
                sound = (folder / dialogue["utterances"][0]["audio"]).read_bytes()
                audio = {"data": base64.b64encode(sound).decode()}
                turn = {"speaker": "Ann", "text": TEXT, "audio": audio}
                body = {"dialogues": [{"utterances": [turn]}]}
                answer = await client.post("/v1/predict", json=body)
                assert answer.status_code == 200, answer.text
                found.append(answer.json()["dialogues"][0]["utterances"][0]["emotion"])
        return found

    assert asyncio.run(ask()) == answers[::6]
