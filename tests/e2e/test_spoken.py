"""smalltalk's lines spoken by a machine, in a voice that goes by the emotion: sound files in, answers
out, through library and commands. It shows that the parts fit together, not that emotions are told
from voices: the voice is made of the label.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from tests.stubs.root import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed"),
]
# Pitch, words a minute and loudness, as espeak-ng takes them.
VOICES = {
    "anger": (30, 220, 180),
    "disgust": (20, 130, 90),
    "fear": (85, 240, 60),
    "joy": (90, 190, 140),
    "sadness": (15, 100, 40),
    "surprise": (99, 160, 180),
    "neutral": (45, 170, 100),
}
UTTERANCES = {"train": 210, "dev": 70, "test": 70}


def eacl(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", "from eacl_jax.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def spoken(tmp_path_factory) -> Path:
    """Custom files with an `audio` each, texts left out but for their speakers' names."""
    folder = tmp_path_factory.mktemp("spoken")
    corpus = corpora.load(DataConfig(cache_dir=str(folder / "cache")))
    for split, most in UTTERANCES.items():
        records, count = [], 0
        for dialogue in corpus.splits[split]:
            if count >= most:
                break
            said = []
            for turn, utterance in enumerate(dialogue.utterances):
                audio = f"clips/{split}/{dialogue.id}/{turn}.wav"
                (folder / audio).parent.mkdir(parents=True, exist_ok=True)
                pitch, pace, loudness = VOICES[str(utterance.emotion)]
                subprocess.run(
                    [
                        *("espeak-ng", "-v", "en", "-p", str(pitch), "-s", str(pace)),
                        *("-a", str(loudness), "-w", str(folder / audio), "--", utterance.text),
                    ],
                    check=True,
                )
                said.append(
                    {"speaker": "Ann", "text": "so", "emotion": utterance.emotion, "audio": audio}
                )
                count += 1
            records.append(json.dumps({"id": dialogue.id, "utterances": said}))
        (folder / f"{split}.jsonl").write_text("\n".join(records) + "\n")
    return folder


def settings(folder: Path, encoder: Path) -> list[str]:
    return [
        "--config=configs/base.py",
        "--config.data.corpus=custom",
        *(f"--config.data.{split}={folder / split}.jsonl" for split in UTTERANCES),
    ]
