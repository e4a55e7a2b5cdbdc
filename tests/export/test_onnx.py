"""An ONNX program answers as the recognizer, and needs nothing but ONNX Runtime, tokenizers and
NumPy.
"""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from eacl_jax import EmotionRecognizer
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.data.pipeline import evaluation_batches
from eacl_jax.errors import UserError
from eacl_jax.export.onnx import export_onnx
from eacl_jax.onnx import quantize
from eacl_jax.recognizer import preparing
from tests.export.test_stablehlo import compare, load, run_alone
from tests.recognizer.test_onnx_runtime import NOTED
from tests.stubs.featured import chances
from tests.stubs.recognizers import (
    ANSWERINGS,
    CHAIN,
    DIALOGUES,
    LABELS,
    SEVERAL,
    SEVERAL_ANSWERINGS,
    recognizer,
    with_chain,
)
from tests.stubs.toys import make_recognizer

PACKAGES = ("onnxruntime", "tokenizers", "flatbuffers", "packaging", "coloredlogs", "sympy")


@pytest.mark.parametrize("answering", [{}, *ANSWERINGS, *SEVERAL_ANSWERINGS])
def test_every_answering(answering, tmp_path: Path) -> None:
    original = recognizer(**answering)
    export_onnx(original, tmp_path / "out")
    compare(tmp_path / "out", original)


@pytest.mark.parametrize("decoding", ["viterbi", "marginals"])
def test_a_chain_answers_whole_conversations(decoding, tmp_path: Path) -> None:
    original = with_chain(recognizer(), decoding=decoding)
    export_onnx(original, tmp_path / "out")
    model = load(tmp_path / "out").Model()
    for dialogue in DIALOGUES:
        said = [(each.speaker, each.text) for each in dialogue.utterances]
        answers, found = model.in_dialogue(model.predict(said), [name for name, _ in said])
        expected = original.predict(dialogue)
        np.testing.assert_allclose(found, chances(expected), atol=1e-5)
        assert answers == [[each.emotion] for each in expected]
    assert model.in_dialogue(model.predict([]), [])[0] == []
    assert "model.in_dialogue(" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_several_prompts_in_a_row(tmp_path: Path) -> None:
    original = recognizer("mpnet")
    export_onnx(original, tmp_path / "out")
    ((batch, indices),) = evaluation_batches(original.examples(DIALOGUES), [(8, 64)])
    assert batch.segment_ids.max() > 1
    representations, _, _ = load(tmp_path / "out").Model()(
        batch.tokens, batch.positions, batch.segment_ids, batch.readout[: len(indices)]
    )
    np.testing.assert_allclose(representations, original.encode(DIALOGUES)[indices], atol=1e-5)


@pytest.mark.parametrize("answering", [{}, {"max_future": 1}, SEVERAL, CHAIN])
def test_stands_alone(answering, tmp_path: Path, monkeypatch) -> None:
    original = with_chain(recognizer()) if answering is CHAIN else recognizer(**answering)
    export_onnx(original, tmp_path / "out")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    *answers, last = run_alone(tmp_path / "out" / "run.py", *PACKAGES, without="jax").splitlines()
    assert len(answers) == 3
    for label in LABELS:
        assert all(re.search(rf"{re.escape(label)} [01]\.\d{{4}}", answer) for answer in answers)
    assert float(last.rpartition(" ")[2]) < 1e-5
    # ONNX Runtime's builds keep an id of the machine there, for the events that they send.
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("chain", [False, True])
def test_readme_answers_a_conversation(chain, tmp_path: Path) -> None:
    original = with_chain(recognizer()) if chain else recognizer(max_future=1)
    export_onnx(original, tmp_path / "out")
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "{" not in readme.replace("{SPEAKER says: TEXT}", "").replace(
        "{For utterance: TEXT SPEAKER feels}", ""
    ).replace("`{}`", "")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    said = [(u.speaker, u.text) for u in DIALOGUES[0].utterances]
    code = re.sub(r"^said = .*$", lambda _: f"said = {said!r}", code, flags=re.MULTILINE)
    code = (
        re.sub(
            r"^    print\(.*\)$",
            "",
            code.replace("for (", "print(probabilities.tolist())\nfor ("),
            flags=re.MULTILINE,
        )
        + "    pass\n"
    )
    (tmp_path / "out" / "try.py").write_text(code, encoding="utf-8")
    printed = json.loads(run_alone(tmp_path / "out" / "try.py", *PACKAGES, without="jax"))
    expected = [list(answer.probabilities.values()) for answer in original.predict(DIALOGUES[0])]
    np.testing.assert_allclose(printed, expected, atol=1e-5)


def test_int8_as_it_was_prepared(tmp_path: Path) -> None:
    make_recognizer(tmp_path / "encoder", shift=0.3).save_pretrained(tmp_path / "model")
    in_jax = EmotionRecognizer.from_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="has no int8 program"):
        export_onnx(in_jax, tmp_path / "out", prepared=tmp_path / "model")
    made = preparing.prepare_int8(
        in_jax, tmp_path / "model", read_dialogues(NOTED)[0], max_loss=100
    )
    export_onnx(in_jax, tmp_path / "out", prepared=tmp_path / "model")
    quick = EmotionRecognizer.from_pretrained(tmp_path / "model", runtime="onnx", precision="int8")
    said = NOTED[0]
    found = load(tmp_path / "out").Model().predict([(u["speaker"], u["text"]) for u in said])
    expected = [list(answer.probabilities.values()) for answer in quick.predict(said)]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert made.in_words() in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    in_jax.with_labels("joy,rage=anger").save_pretrained(tmp_path / "other")
    other = EmotionRecognizer.from_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="model is not the model that was loaded"):
        export_onnx(other, tmp_path / "wrong", prepared=tmp_path / "model")
    assert not (tmp_path / "wrong").exists()


def test_int8_of_eight_bits_is_refused_where_their_sums_overflow(
    tmp_path: Path, monkeypatch
) -> None:
    make_recognizer(tmp_path / "encoder", shift=0.3).save_pretrained(tmp_path / "model")
    in_jax = EmotionRecognizer.from_pretrained(tmp_path / "model")
    for exact in (False, True):
        monkeypatch.setattr(quantize, "eight_bits_add_up", lambda exact=exact: exact)
        preparing.prepare_int8(in_jax, tmp_path / "model", read_dialogues(NOTED)[0], max_loss=100)
        out = tmp_path / f"out-{exact}"
        export_onnx(in_jax, out, prepared=tmp_path / "model")
        assert (out / "eight_bits.onnx").exists() == exact
    # A product that a processor without VNNI would give: 63 terms of 127 in place of 64.
    wrong = quantize.largest_product()
    columns = np.full((64, 16), 127, np.int8)
    columns[0] = 0
    wrong.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(columns, wrong.graph.initializer[0].name)
    )
    onnx.save(wrong, out / "eight_bits.onnx")
    with pytest.raises(SystemExit, match="this int8 program was made for processors with VNNI"):
        load(out).Model()


def test_a_line_that_is_no_utterance(tmp_path: Path, monkeypatch) -> None:
    export_onnx(recognizer(), tmp_path / "out")
    (tmp_path / "chat.txt").write_text("Ann: hello\n\nwhat?\n", encoding="utf-8")
    program = load(tmp_path / "out")
    with pytest.raises(SystemExit, match=r"chat\.txt line 3: expected Speaker: text, .* 'what\?'"):
        program.read(tmp_path / "chat.txt")
    for line in ("[10:32] Ann: hi", "12/05/24, 10:31 - Ann: hi", "10:31 Ann: hi", "see http://x.y"):
        (tmp_path / "chat.txt").write_text(f"Ann: hello\n{line}\n", encoding="utf-8")
        with pytest.raises(SystemExit, match=r"line 2: expected Speaker: text"):
            program.read(tmp_path / "chat.txt")
    (tmp_path / "chat.txt").write_bytes(
        "\ufeffAnn: a\u2028b: c\r\n1337_guy: gg\rBen: so\n".encode()
    )
    expected = [("Ann", "a\u2028b: c"), ("1337_guy", "gg"), ("Ben", "so")]
    assert program.read(tmp_path / "chat.txt") == expected
