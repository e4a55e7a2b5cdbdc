"""What the first line of a program waits for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stubs.recognizers import CLASSIFIER, LOGITS, SEVERAL, SHIFTED, THREE_EACH, recognizer
from tests.stubs.root import ROOT

SLOW = (
    "torch",
    "sklearn",
    "transformers",
    "tensorflow_datasets",
    "tensorboardX",
    "grain",
    "orbax",
    "scipy",
    "pandas",
    "pyarrow",
    "matplotlib",
    "huggingface_hub",
    "fsspec",
    "jax",
    "flax",
    "optax",
)
# Answers by a runtime other than JAX, with everything that a program may ask of a recognizer but
# adapting, which minimizes by JAX.
ANSWER = """
import json, sys
from eacl_jax import EmotionRecognizer
recognizer = EmotionRecognizer.from_pretrained(sys.argv[1], runtime=sys.argv[2])
list(recognizer.compile_ahead())
answers = recognizer.predict("Ann: hello there\\nBob: good day\\nAnn: " + "lovely " * 60, on_long="pool")
talk = recognizer.conversation()
talk.add("Ann: it is awful")
if recognizer.settings.made_of_words:
    recognizer.with_labels("gratitude=lovely,anger=rude day").predict("Ann: hello")
print(json.dumps([answers.to_json(), sorted({name.split(".")[0] for name in sys.modules})]))
"""


def modules_after(script: str, *arguments: str) -> list:
    """What a program prints as its last line, decoded."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# What JAX's own runtime does without too.
NOT_OF_JAX = set(SLOW) - {"jax", "flax", "optax", "orbax", "scipy", "huggingface_hub"}


@pytest.mark.parametrize(
    "line",
    [
        "import eacl_jax",
        "from eacl_jax import Dialogue, Utterance",
        "from eacl_jax import EmotionRecognizer",
        "import eacl_jax.data.pipeline, eacl_jax.recognizer.facts, eacl_jax.recognizer.few_shot",
    ],
)
def test_importing_does_not_wait_for_what_answering_does_without(line: str) -> None:
    names = "import json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    assert not set(modules_after(f"{line}; {names}")) & set(SLOW)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param({}, id="one label"),
        pytest.param({**THREE_EACH, **SHIFTED}, id="three anchors a label, and offsets"),
        pytest.param({**SEVERAL, **THREE_EACH}, id="several labels"),
        pytest.param({**LOGITS, **CLASSIFIER}, id="several labels by a classifier"),
    ],
)
def test_another_runtime_answers_without_jax(kind: dict, tmp_path: Path) -> None:
    recognizer(**kind).save_pretrained(tmp_path / "model")
    install = "from tests.stubs.runtimes import install; install()\n"
    answers, names = modules_after(install + ANSWER, str(tmp_path / "model"), "onnx")
    assert [each["text"][:5] for each in answers["utterances"]] == ["hello", "good ", "lovel"]
    assert not set(names) & set(SLOW)


def test_answering_by_jax_does_not_wait_for_transformers(tmp_path: Path) -> None:
    recognizer().save_pretrained(tmp_path / "model")
    answers, names = modules_after(ANSWER, str(tmp_path / "model"), "jax")
    assert answers["utterances"]
    assert not set(names) & NOT_OF_JAX
