"""A model folder answers by ONNX Runtime as it does by JAX, and without JAX's import."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from eacl_jax import EmotionRecognizer
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.onnx import quantize
from eacl_jax.recognizer import jax_runtime, preparing, programs
from eacl_jax.recognizer.locate import LORA
from tests.stubs.recognizers import DIALOGUES
from tests.stubs.toys import make_recognizer

NOTED = [
    [
        {"speaker": "Ann", "text": f"the {word} is {mood}", "emotion": emotion},
        {"speaker": "Bob", "text": f"{mood} {word}", "emotion": emotion},
    ]
    for word in ("day", "table", "window", "monday")
    for mood, emotion in (("lovely", "joy"), ("rude", "anger"), ("good", "neutral"))
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_recognizer(folder / "encoder", shift=0.3).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def probabilities(recognizer: EmotionRecognizer) -> np.ndarray:
    answers = recognizer.predict(DIALOGUES)
    return np.array([list(each.probabilities.values()) for found in answers for each in found])


@pytest.mark.parametrize(("threads", "batches"), [(1, [8]), (2, [4, 4]), (4, [2, 2, 2, 2])])
def test_a_call_of_few_utterances_is_for_all_threads(folder, monkeypatch, threads, batches):
    made = EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    session, sizes = made.runtime._session, []
    examples = made.examples([Dialogue(str(n), (Utterance("Ann", "good day"),)) for n in range(8)])
    expected, run = session.represent(examples), session._run
    monkeypatch.setattr(session, "_threads", threads)
    monkeypatch.setattr(
        session, "_run", lambda *given: (sizes.append(len(given[1])), run(*given))[1]
    )
    np.testing.assert_allclose(session.represent(examples), expected, atol=1e-5)
    assert sizes == batches
    assert len(session.represent(examples[:1])) == 1


def test_it_answers_as_jax_does(folder, caplog):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    made = EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    assert "is not prepared for ONNX Runtime" in caplog.text
    np.testing.assert_allclose(probabilities(made), probabilities(in_jax), atol=1e-5)
    preparing.prepare(in_jax, folder)
    caplog.clear()
    prepared = EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    assert not caplog.text
    np.testing.assert_array_equal(probabilities(prepared), probabilities(made))
    assert "- float32: `programs/float32.onnx`" in (folder / "README.md").read_text(
        encoding="utf-8"
    )
    again = pickle.loads(pickle.dumps(prepared))
    assert (again.runtime.name, again.runtime.precision) == ("onnx", "float32")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("prepared", [True, False])
def test_other_labels_by_their_words(folder, prepared, monkeypatch):
    given = {"delight": "lovely|the good day", "fury": "rude"}
    in_jax = EmotionRecognizer.from_pretrained(folder)
    expected = probabilities(in_jax.with_labels(given))
    if prepared:
        preparing.prepare(in_jax, folder)
        assert "`programs/label_words.onnx`" in (folder / "README.md").read_text(encoding="utf-8")
    made = EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    if prepared:  # what would load the model in JAX
        monkeypatch.setattr(jax_runtime, "load", None)
    np.testing.assert_allclose(probabilities(made.with_labels(given)), expected, atol=1e-5)
    with pytest.raises(UserError, match="the words of a label are longer than the"):
        made.with_labels({"delight": "lovely", "fury": "rude " * 200})


def test_many_at_once_come_back_in_order(folder):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    preparing.prepare(in_jax, folder)
    made = EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    examples = in_jax.examples(DIALOGUES * 40)
    np.testing.assert_allclose(made.represent(examples), in_jax.represent(examples), atol=1e-5)


def test_int8_says_what_it_costs(folder):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    made = preparing.prepare_int8(in_jax, folder, read_dialogues(NOTED)[0], max_loss=100)
    assert made.cost is not None
    assert made.cost.utterances == len(NOTED)
    quick = EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int8")
    expected = quick.predict(NOTED[1::2])
    plain = in_jax.predict(NOTED[1::2])
    differ = [
        a.emotion != b.emotion
        for x, y in zip(expected, plain, strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    assert made.cost.changed == pytest.approx(100 * np.mean(differ))
    assert quick.runtime.cost == made.in_words()
    assert made.in_words() in (folder / "README.md").read_text(encoding="utf-8")
    # The other program stays.
    preparing.prepare(in_jax, folder)
    assert set(programs.read_programs(folder)) == {"float32", "int8", programs.LABEL_WORDS}
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.count("## Programs") == 1
    # Nor does it go, with what is written of it, where the same weights are calibrated otherwise.
    in_jax.save_pretrained(folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == text
    in_jax.calibrate(NOTED[::2]).save_pretrained(folder)
    cost = f"{made.in_words()}; measured before the model's settings changed"
    assert cost in (folder / "README.md").read_text(encoding="utf-8")
    again = EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int8")
    assert again.runtime.cost == cost
    # Of other anchors nothing is written, and nothing answered.
    in_jax.with_labels("joy,rage=anger").save_pretrained(folder)
    assert "## Programs" not in (folder / "README.md").read_text(encoding="utf-8")


def test_a_cost_says_how_much_of_it_the_model_has_learnt_from(folder, caplog):
    """As it answers that more surely, and so a program changes less of it."""
    in_jax, dialogues = EmotionRecognizer.from_pretrained(folder), read_dialogues(NOTED)[0]
    # By those that it was chosen by nothing is flattered.
    in_jax.learnt = in_jax.learnt.and_("chosen", dialogues)
    made = preparing.prepare_int8(in_jax, folder, dialogues, max_loss=100)
    assert "learnt from" not in made.in_words() + caplog.text
    # Scales are taken from the first, and the cost is measured on the second.
    in_jax.learnt = in_jax.learnt.and_("trained", dialogues[:2])
    preparing.prepare_int8(in_jax, folder, dialogues, max_loss=100)
    assert "2 of 12 annotated utterances are, with all utterances before them" in caplog.text
    quick = EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int8")
    assert quick.runtime.cost.split(";")[0].endswith(
        "on 12 utterances, of which the model has learnt from 2"
    )
    assert quick.runtime.cost in (folder / "README.md").read_text(encoding="utf-8")


def test_a_cost_says_what_becomes_of_sets_of_labels(folder, monkeypatch):
    plain, dialogues = EmotionRecognizer.from_pretrained(folder), read_dialogues(NOTED)[0]
    assert "sets" not in preparing.prepare_int8(plain, folder, dialogues, max_loss=100).in_words()
    calibrated = plain.calibrate(NOTED)
    calibrated.save_pretrained(folder)
    made = preparing.prepare_int8(calibrated, folder, dialogues, max_loss=100)
    assert made.cost is not None
    quick = EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int8")
    for recognizer, found in ((calibrated, made.cost.held_before), (quick, made.cost.held_after)):
        held = [
            utterance["emotion"] in answer.possible
            for noted, answers in zip(
                NOTED[1::2], recognizer.predict(NOTED[1::2], coverage=0.8), strict=True
            )
            for utterance, answer in zip(noted, answers, strict=True)
        ]
        assert found == pytest.approx(100 * np.mean(held))
        assert f"{found:.1f}%" in quick.runtime.cost.split("a coverage of 80% hold the label in")[1]
    # A program that answers the opposite.
    other = SimpleNamespace(represent=lambda examples: -calibrated.represent(examples))
    monkeypatch.setattr(preparing, "Session", lambda content: other)
    worse = preparing.prepare_int8(calibrated, folder, dialogues, max_loss=100)
    assert worse.cost is not None
    assert worse.cost.held_before == made.cost.held_before
    assert worse.cost.held_after != worse.cost.held_before


@pytest.mark.parametrize("f1", [(59.0, 58.0), (58.0, 59.0)])
def test_int8_that_costs_too_much_is_not_written(folder, monkeypatch, f1):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    # Either program may be the one that costs less, which is the one to tell of.
    costs = (programs.Cost(12, "weighted_f1", 60.0, after, 8.0, 3.0, 4.0) for after in f1)
    monkeypatch.setattr(preparing, "_cost", lambda before, after: next(costs))
    with pytest.raises(UserError, match=r"60\.00 -> 59\.00.*at most 0\.3 points may be lost"):
        preparing.prepare_int8(in_jax, folder, read_dialogues(NOTED)[0])
    assert not (folder / "programs").exists()


@pytest.mark.parametrize(("second", "kept"), [(59.0, ""), (59.9, "narrowing products")])
def test_int8_is_the_faster_program_where_the_other_costs_too_much(
    folder, monkeypatch, second, kept
):
    """However many answers the faster one changes."""
    in_jax = EmotionRecognizer.from_pretrained(folder)
    costs = [
        programs.Cost(12, "weighted_f1", 60.0, after, changed, 3.0, 4.0)
        for after, changed in ((59.8, 8.0), (second, 1.0))
    ]
    found = iter(costs)
    monkeypatch.setattr(preparing, "_cost", lambda before, after: next(found))
    made = preparing.prepare_int8(in_jax, folder, read_dialogues(NOTED)[0])
    assert made.kept == kept
    assert made.cost == costs[bool(kept)]
    assert made.bytes == (folder / "programs" / "int8.onnx").stat().st_size


def test_int8_for_other_processors_is_refused(folder, monkeypatch):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    monkeypatch.setattr(quantize, "eight_bits_add_up", lambda: True)
    made = preparing.prepare_int8(in_jax, folder, read_dialogues(NOTED)[0], max_loss=100)
    assert made.weight_bits == 8
    monkeypatch.setattr(quantize, "eight_bits_add_up", lambda: False)
    with pytest.raises(UserError, match="made for processors with VNNI"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int8")


def test_bad_folders_and_arguments(folder):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    with pytest.raises(UserError, match="has no program of precision int8: `eacl prepare`"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int8")
    with pytest.raises(
        UserError, match="precision must be one of float32, int8, bfloat16, got 'int4'"
    ):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx", precision="int4")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="precision 'int8' is of runtime 'onnx', not 'jax'; JAX"):
        EmotionRecognizer.from_pretrained(folder, precision="int8")
    with pytest.raises(UserError, match="needs annotated dialogues"):
        preparing.prepare_int8(in_jax, folder, read_dialogues(NOTED[:1])[0])
    preparing.prepare(in_jax, folder)
    file = folder / "programs" / "float32.onnx"
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match=r"float32\.onnx is not whole: prepare the model again"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    preparing.prepare(in_jax, folder)
    about = folder / "programs" / "programs.json"
    written = json.loads(about.read_text(encoding="utf-8"))
    about.write_text(json.dumps(written | {"heads": "0" * 64}), encoding="utf-8")
    with pytest.raises(UserError, match="holds programs of another model"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    del written["readout"]
    about.write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(UserError, match=r"prepare the model again:\n  programs\.readout"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    preparing.prepare(in_jax, folder)
    # What a program holds of the settings.
    config = folder / "config.json"
    settings = config.read_text(encoding="utf-8")
    config.write_text(json.dumps(json.loads(settings) | {"readout": "mean"}), encoding="utf-8")
    with pytest.raises(UserError, match="holds programs of another model"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    config.write_text(settings, encoding="utf-8")
    # Another training's encoder beside the same heads, as of anchors that are never trained.
    weights = folder / "encoder" / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: each * 1.01 for name, each in tensors.items()}, weights)
    with pytest.raises(UserError, match="holds programs of another model"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")


@pytest.mark.parametrize("part", ["encoder", "label_encoder", "."])
def test_what_a_copy_lacks_is_named_before_programs_are(part, folder):
    (folder / "label_encoder").mkdir(exist_ok=True)
    for file in (folder / "encoder").iterdir():
        shutil.copy(file, folder / "label_encoder")
    programs.write_program(folder, b"program", {"float32": programs.Program(bytes=7)})
    name = "heads.safetensors" if part == "." else "model.safetensors"
    file = folder / part / name
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"{name} is damaged or not whole; copy the model again"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")
    if part == ".":
        return
    file.unlink()
    for gone in (file, folder / part / "config.json"):
        gone.unlink(missing_ok=True)
        message = rf"{part}/{gone.name} is missing: the model folder is not whole; copy the model"
        with pytest.raises(UserError, match=message):
            programs.read_programs(folder)
        shutil.copy(folder / "heads.safetensors", file)  # weights of another model
    shutil.rmtree(folder / part)  # as where another model was saved there
    if part == "label_encoder":
        with pytest.raises(UserError, match="holds programs of another model"):
            programs.read_programs(folder)


def test_programs_of_a_former_model_are_deleted(folder):
    def written() -> set[str]:
        return {file.name for file in (folder / "programs").iterdir()}

    for name in ("float32", "int8"):
        content = name.encode()
        programs.write_program(folder, content, {name: programs.Program(bytes=len(content))})
    (folder / "programs" / "notes.txt").touch()
    assert written() == {"float32.onnx", "int8.onnx", "notes.txt", "programs.json"}
    make_recognizer(folder.parent / "encoder", shift=0.2).save_pretrained(folder)
    programs.write_program(folder, b"new", {"float32": programs.Program(bytes=3)})
    assert written() == {"float32.onnx", "notes.txt", "programs.json"}


def test_matrices_beside_a_named_encoder_are_refused(folder):
    for name in LORA:
        (folder / name).touch()
    for runtime in ("onnx", "jax"):
        with pytest.raises(UserError, match="holds the files of two models"):
            EmotionRecognizer.from_pretrained(folder, runtime=runtime)
    shutil.rmtree(folder / "encoder")
    with pytest.raises(UserError, match="holds LoRA's matrices and names its encoder"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx")


def test_neither_jax_nor_what_sends_events_is_loaded(folder, tmp_path):
    """ONNX Runtime's builds send events and keep an id at home, unless they are kept from it."""
    preparing.prepare(EmotionRecognizer.from_pretrained(folder), folder)
    script = f"""
import sys
from eacl_jax import EmotionRecognizer
recognizer = EmotionRecognizer.from_pretrained({str(folder)!r}, runtime="onnx")
recognizer = recognizer.with_labels({{"delight": "lovely", "fury": "rude"}})
print(recognizer.predict([("Ann", "lovely day"), ("Bob", "rude")]).emotions)
print(sorted({{"jax", "flax", "transformers", "scipy", "sklearn", "onnx", "pyarrow", "huggingface_hub"}} & set(sys.modules)))
"""
    home = tmp_path / "home"
    environment = {name: it for name, it in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "HOME": str(home)},
    )
    assert done.stdout.splitlines()[1:] == ["[]"], done.stderr
    assert not home.exists()
