"""Two processes of one JAX program, each with a recognizer that it asks what it likes."""

import json
from typing import Any

import jax
import numpy as np
import pytest

from eacl_jax import EmotionRecognizer
from eacl_jax.model.mesh import make_mesh
from tests.stubs.agreeing import run_together
from tests.stubs.toys import make_recognizer

# As many utterances of as many words in each, so that the programs that run have the same shapes.
CHATS = (
    "Ann: the day is wonderful\nBob: it is great\nAnn: say a great hello",
    "Cleo: the table is rude\nAnn: it is awful\nCleo: say a horrible monday",
)
SCRIPT = """
import sys
import jax
address, process, folder = sys.argv[1], int(sys.argv[3]), sys.argv[4]
jax.distributed.initialize(address, 2, process)
assert (jax.device_count(), jax.local_device_count()) == (4, 2)
import json
from eacl_jax import EmotionRecognizer
from eacl_jax.model.mesh import make_mesh, put, replicated
from eacl_jax.recognizer.jax_runtime import JaxRuntime, Trained
from tests.recognizer.test_processes import CHATS, answers

loaded = EmotionRecognizer.from_pretrained(folder)
# As a run over all processes leaves its parameters.
params = put(loaded.params, replicated(make_mesh()))
parts = Trained(loaded.graphdef, params, loaded.runtime.label_encoder)
spread = EmotionRecognizer(
    loaded.settings,
    JaxRuntime(loaded.settings, parts),
    tokenizer=loaded.tokenizer,
    encoder_config=loaded.encoder_config,
    anchors=loaded.anchors,
)
chat = CHATS[process]
print("ANSWERS", json.dumps([answers(loaded, chat), answers(spread, chat)]), flush=True)
"""


def answers(recognizer: EmotionRecognizer, chat: str) -> list[Any]:
    """Representations of a chat, and probabilities by the recognizer's labels and by others."""
    labels = {"joy": "lovely", "anger": "rude day"}
    others = recognizer.with_labels(labels)
    return [
        recognizer.encode(chat).tolist(),
        *([list(p.probabilities.values()) for p in r.predict(chat)] for r in (recognizer, others)),
    ]


@pytest.mark.slow
def test_each_process_gets_the_answer_to_its_question(tmp_path):
    make_recognizer(tmp_path / "encoder", shift=0.3).save_pretrained(tmp_path / "model")
    ended = run_together(SCRIPT, 2, str(tmp_path / "model"), devices=2)
    alone = EmotionRecognizer.from_pretrained(tmp_path / "model")
    expected = [answers(alone, chat) for chat in CHATS]
    # The answer to the other's question would not pass for the right one.
    assert np.abs(np.subtract(expected[0][0], expected[1][0])).max() > 0.01
    for (status, output), wanted in zip(ended, expected, strict=True):
        assert status == 0, output
        (line,) = [line for line in output.splitlines() if line.startswith("ANSWERS ")]
        for got in json.loads(line.removeprefix("ANSWERS ")):
            for values, right in zip(got, wanted, strict=True):
                np.testing.assert_allclose(values, right, atol=1e-5)


@pytest.mark.slow
def test_a_recognizer_uses_the_devices_of_its_process_or_those_it_is_given(tmp_path, monkeypatch):
    local = jax.devices()[2:4]
    monkeypatch.setattr(jax, "local_devices", lambda: local)
    trained = make_recognizer(tmp_path / "encoder")
    trained.save_pretrained(tmp_path / "model")
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "model")
    for recognizer in (trained, loaded, loaded.with_labels("joy,anger")):
        assert devices_of(recognizer) == set(local)
    given = EmotionRecognizer.from_pretrained(tmp_path / "model", mesh=make_mesh(1))
    assert devices_of(given) == {jax.devices()[0]}
    assert given.predict(CHATS[0])[0].emotion == loaded.predict(CHATS[0])[0].emotion


def devices_of(recognizer):
    return {device for x in jax.tree.leaves(recognizer.params) for device in x.devices()}
