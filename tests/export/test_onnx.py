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
from tests.export.test_stablehlo import compare, load, run_alone, take_for_its_own
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
        utterances = [(each.speaker, each.text) for each in dialogue.utterances]
        answers, found = model.in_dialogue(
            model.predict(utterances), [name for name, _ in utterances]
        )
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
    assert "too long by itself\nthe first tokens are left out, so that its end is read" in readme
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    utterances = [(u.speaker, u.text) for u in DIALOGUES[0].utterances]
    code = re.sub(
        r"^utterances = .*$", lambda _: f"utterances = {utterances!r}", code, flags=re.MULTILINE
    )
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
    utterances = NOTED[0]
    found = load(tmp_path / "out").Model().predict([(u["speaker"], u["text"]) for u in utterances])
    expected = [list(answer.probabilities.values()) for answer in quick.predict(utterances)]
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
    take_for_its_own(out)
    with pytest.raises(SystemExit, match="this int8 program was made for processors with VNNI"):
        load(out).Model()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    """The folder of a model."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    export_onnx(recognizer(), folder)
    return folder


def command(folder: Path, monkeypatch, *arguments: object) -> object:
    """The exit status of `python run.py ARGUMENTS`."""
    monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
    try:
        load(folder).main()
    except SystemExit as ended:
        return ended.code
    return 0


def test_a_blank_line_ends_a_conversation(exported, tmp_path, monkeypatch, capsys) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("Ann: good day\nBen: lovely day\n\n\nBen: lovely day\n", encoding="utf-8")
    assert command(exported, monkeypatch, chat) == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    _, second, blank, alone = printed.splitlines()
    assert blank == ""
    for line, dialogue in (
        (second, [("Ann", "good day"), ("Ben", "lovely day")]),
        (alone, [("Ben", "lovely day")]),
    ):
        answer = recognizer().predict(dialogue)[-1]
        assert line.startswith(f"Ben: lovely day  ->  {answer.emotion}  ({answer.emotion} ")
        for label, value in answer.probabilities.items():
            assert f"{label} {value:.4f}" in line
    assert second != alone


def test_texts_that_are_cut_are_counted(exported, tmp_path, monkeypatch, capsys) -> None:
    chat, long = tmp_path / "chat.txt", "day " * 60
    chat.write_text(f"Ann: {long}\nBen: hello\n\nAnn: {long}\n", encoding="utf-8")
    assert command(exported, monkeypatch, chat) == 0
    assert capsys.readouterr().err == (
        "2 utterances are longer than the model reads: their ends were answered\n"
    )
    expected = recognizer().predict([("Ann", long), ("Ben", "hello")])
    assert [answer.truncated for answer in expected] == [True, False]


def test_texts_that_are_unknown_or_empty_are_counted(
    exported, tmp_path, monkeypatch, capsys
) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("Ann: 😡😡 😡\nBen: hello\n\nAnn:\nBen: 나는 화가 났다\n", encoding="utf-8")
    assert command(exported, monkeypatch, chat) == 0
    assert capsys.readouterr().err == (
        "3 utterances hold mostly what the model's tokenizer does not know, such as another script,"
        " or no text: their answers say nothing\n"
    )
    chats = [("Ann", "😡😡 😡"), ("Ben", "hello"), ("Ann", ""), ("Ben", "나는 화가 났다")]
    expected = [answer.unknown_text for answer in recognizer().predict(chats)]
    assert expected == [True, False, True, True]


def test_mistakes_in_a_command_are_one_line(exported, tmp_path, monkeypatch, capsys) -> None:
    chat = tmp_path / "chat.txt"
    chat.write_text("Ann: hi\n10:31 Ben: so\n", encoding="utf-8")
    for arguments, message in (
        ([chat], f"{chat} line 2: expected Speaker: text"),
        ([tmp_path / "none"], "none cannot be read: "),
        ([chat, chat], "expected one file, got 2"),
    ):
        assert command(exported, monkeypatch, *arguments) == 2
        printed, errors = capsys.readouterr()
        assert printed == ""
        assert errors.startswith("error: ")
        assert message in errors
        assert errors.count("\n") == 1
    assert command(exported, monkeypatch, "--help") == 0
    assert "`python run.py FILE`" in capsys.readouterr().out


def test_speakers_are_taken_as_the_library_takes_them(exported, tmp_path: Path) -> None:
    utterances = [(" Ann", "what a day"), ("Ben\t", " hi "), ("Ben", "so"), ("Ann ", "I won!")]
    expected = chances(recognizer().predict(utterances))
    np.testing.assert_allclose(load(exported).Model().predict(utterances), expected, atol=1e-5)
    original = with_chain(recognizer())
    export_onnx(original, tmp_path / "out")
    model = load(tmp_path / "out").Model()
    _, found = model.in_dialogue(model.predict(utterances), [name for name, _ in utterances])
    np.testing.assert_allclose(found, chances(original.predict(utterances)), atol=1e-5)
