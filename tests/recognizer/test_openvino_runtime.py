"""A model folder answers by OpenVINO as it does by JAX, in float32 and in bfloat16."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from eacl_jax import EmotionRecognizer
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.errors import UserError
from eacl_jax.onnx import openvino_session
from eacl_jax.recognizer import onnx_runtime, preparing, programs
from tests.recognizer.test_onnx_runtime import NOTED, probabilities
from tests.stubs.recognizers import DIALOGUES
from tests.stubs.toys import make_recognizer

needs_bfloat16 = pytest.mark.skipif(
    "BF16" not in openvino_session.capabilities(),
    reason="this processor has no products of bfloat16",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    make_recognizer(folder / "encoder", shift=0.3).save_pretrained(folder / "model")
    preparing.prepare(EmotionRecognizer.from_pretrained(folder / "model"), folder / "model")
    return folder / "model"


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    """A copy that a test may write to."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


@pytest.fixture
def bfloat16(monkeypatch) -> None:
    """Has processors without such products take the same way, where it is float32."""
    if "BF16" not in openvino_session.capabilities():
        monkeypatch.setattr(openvino_session, "capabilities", lambda: ["BF16"])


def test_it_answers_as_jax_does(folder):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    made = EmotionRecognizer.from_pretrained(folder, runtime="openvino")
    # A processor that has bfloat16 is not to use it unasked.
    np.testing.assert_allclose(probabilities(made), probabilities(in_jax), atol=1e-5)
    given = {"delight": "lovely|the good day", "fury": "rude"}
    np.testing.assert_allclose(
        probabilities(made.with_labels(given)), probabilities(in_jax.with_labels(given)), atol=1e-5
    )
    again = pickle.loads(pickle.dumps(made))
    assert (again.runtime.name, again.runtime.precision) == ("openvino", "float32")


@pytest.mark.slow
def test_many_threads_ask_at_once(folder):
    made = EmotionRecognizer.from_pretrained(folder, runtime="openvino")
    examples = [made.examples(DIALOGUES * n) for n in (1, 5, 40)]
    expected = [EmotionRecognizer.from_pretrained(folder).represent(each) for each in examples]
    with ThreadPoolExecutor(6) as pool:
        for which, found in pool.map(lambda n: (n % 3, made.represent(examples[n % 3])), range(24)):
            np.testing.assert_allclose(found, expected[which], atol=1e-5)


@pytest.mark.slow
def test_bfloat16_says_what_it_costs(folder, bfloat16):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    dialogues = read_dialogues(NOTED)[0]
    in_jax.learnt = in_jax.learnt.and_("trained", dialogues[:3])
    made = preparing.prepare_bfloat16(in_jax, folder, dialogues, max_loss=100)
    assert made.cost is not None
    assert (made.cost.utterances, made.cost.learnt) == (2 * len(NOTED), 6)
    quick = EmotionRecognizer.from_pretrained(folder, runtime="openvino", precision="bfloat16")
    differ = [
        a.emotion != b.emotion
        for x, y in zip(quick.predict(NOTED), in_jax.predict(NOTED), strict=True)
        for a, b in zip(x, y, strict=True)
    ]
    assert made.cost.changed == pytest.approx(100 * np.mean(differ))
    assert quick.runtime.cost == made.in_words()
    assert made.in_words().startswith("bfloat16 beside the model by JAX: weighted F1")
    assert made.in_words() in (folder / "README.md").read_text(encoding="utf-8")
    assert set(programs.read_programs(folder)) == {"float32", "bfloat16", programs.LABEL_WORDS}
    assert programs.file_of(folder, "bfloat16") == programs.file_of(folder, "float32")
    # Prepared again, the same program keeps what was measured of it; another does not, and what was
    # prepared beside it stays.
    preparing.prepare(in_jax, folder)
    assert set(programs.read_programs(folder)) == {"float32", "bfloat16", programs.LABEL_WORDS}
    programs.write_program(folder, b"another", {"float32": programs.Program(bytes=7)})
    assert set(programs.read_programs(folder)) == {"float32", programs.LABEL_WORDS}


@needs_bfloat16
def test_bfloat16_is_near_float32_and_not_it(folder):
    exact = EmotionRecognizer.from_pretrained(folder, runtime="openvino")
    program = programs.file_of(folder, "float32")
    examples = exact.examples(DIALOGUES)
    found = openvino_session.openvino_session(program, "bfloat16").represent(examples)
    wanted = exact.represent(examples)
    assert 1e-5 < np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < 3e-2


@pytest.mark.slow
def test_bfloat16_that_costs_too_much_is_not_written(folder, bfloat16, monkeypatch):
    in_jax = EmotionRecognizer.from_pretrained(folder)
    cost = programs.Cost(12, "weighted_f1", 60.0, 59.0, 8.0, 3.0, 4.0)
    monkeypatch.setattr(preparing, "_cost", lambda before, after: cost)
    with pytest.raises(UserError, match=r"bfloat16 costs this model too much.*at most 0\.3 points"):
        preparing.prepare_bfloat16(in_jax, folder, read_dialogues(NOTED)[0])
    assert "bfloat16" not in programs.read_programs(folder)


def test_what_is_not_there_is_refused(folder, monkeypatch):
    def load(**options):
        return EmotionRecognizer.from_pretrained(folder, **options)

    with pytest.raises(UserError, match="precision 'int8' is of runtime 'onnx', not 'openvino'"):
        load(runtime="openvino", precision="int8")
    with pytest.raises(UserError, match="precision 'bfloat16' is of runtime 'openvino', not 'onnx"):
        load(runtime="onnx", precision="bfloat16")
    with pytest.raises(UserError, match="no program of precision bfloat16: `eacl prepare` makes"):
        load(runtime="openvino", precision="bfloat16")
    with pytest.raises(UserError, match="bfloat16 needs annotated dialogues"):
        preparing.prepare_bfloat16(load(), folder, [])
    monkeypatch.setattr(openvino_session, "capabilities", lambda: ["FP32", "INT8"])
    with pytest.raises(UserError, match="this processor does not multiply such numbers"):
        preparing.prepare_bfloat16(load(), folder, read_dialogues(NOTED)[0])
    monkeypatch.setattr(
        onnx_runtime, "find_spec", lambda name: None if name == "openvino" else True
    )
    with pytest.raises(UserError, match=r"needs openvino, not installed.*'eacl_jax\[openvino\]'"):
        load(runtime="openvino")


@pytest.mark.parametrize("runtime", ["jax", "onnx", "openvino"])
def test_prompts_longer_than_the_encoder_reads_are_refused(folder, runtime):
    """Programs would read beyond the encoder's table of positions."""
    config = folder / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    settings["prompt"]["max_tokens"] = 138
    config.write_text(json.dumps(settings), encoding="utf-8")
    EmotionRecognizer.from_pretrained(folder, runtime=runtime)
    settings["prompt"]["max_tokens"] = 139
    config.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(
        UserError, match=r"prompt\.max_tokens is 139, but the encoder reads at most 138 tokens"
    ):
        EmotionRecognizer.from_pretrained(folder, runtime=runtime)


@pytest.mark.parametrize("name", ["encoder", "label_encoder"])
def test_programs_of_an_encoder_of_other_settings_are_refused(folder, name):
    config = folder / name / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(settings | {"layer_norm_eps": 1e-3}), encoding="utf-8")
    with pytest.raises(UserError, match="holds programs of another model"):
        EmotionRecognizer.from_pretrained(folder, runtime="openvino")


def test_a_program_of_another_model_is_refused(folder, tmp_path):
    """One of the same size, which holds other weights."""
    other = tmp_path / "other"
    make_recognizer(other / "encoder", shift=0.2).save_pretrained(other / "model")
    preparing.prepare(EmotionRecognizer.from_pretrained(other / "model"), other / "model")
    file = programs.file_of(folder, "float32")
    size = file.stat().st_size
    shutil.copyfile(programs.file_of(other / "model", "float32"), file)
    assert file.stat().st_size == size
    for runtime in ("onnx", "openvino"):
        with pytest.raises(UserError, match=r"float32\.onnx is not the program that was prepared"):
            EmotionRecognizer.from_pretrained(folder, runtime=runtime)


def test_programs_that_cannot_be_read(folder, monkeypatch):
    content = programs.file_of(folder, "float32").read_bytes()
    damaged = bytes(200) + content[200:]
    programs.write_program(folder, damaged, {"float32": programs.Program(bytes=len(damaged))})
    for runtime in ("onnx", "openvino"):
        with pytest.raises(
            UserError, match=r"float32\.onnx cannot be read.*prepare the model again"
        ):
            EmotionRecognizer.from_pretrained(folder, runtime=runtime)
    monkeypatch.setattr(openvino_session, "_SINCE", "2999.1")
    with pytest.raises(UserError, match=r"OpenVINO 20\d\d\.\d.* takes 2999\.1 or newer"):
        EmotionRecognizer.from_pretrained(folder, runtime="openvino")


@pytest.mark.slow
def test_neither_jax_nor_what_sends_events_is_imported(folder, tmp_path):
    """OpenVINO's import sends an event, from a process that it forks, and leaves files at home,
    unless that package is kept away.
    """
    script = f"""
import os, sys
os.register_at_fork(before=lambda: print("forked"))
from eacl_jax import EmotionRecognizer
recognizer = EmotionRecognizer.from_pretrained({str(folder)!r}, runtime="openvino")
print(len(recognizer.predict([("Ann", "lovely day"), ("Bob", "rude")]).emotions))
print(sorted({{"jax", "flax", "transformers", "onnx", "openvino_telemetry"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env={
            **{name: it for name, it in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"},
            "HOME": str(tmp_path / "home"),
            "CI": "",
        },
    )
    assert done.stdout.splitlines() == ["2", "[]"], done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "answers"), [("onnx", True), ("openvino", False), ("jax", False)]
)
def test_a_child_of_fork_answers_or_says_why_not_but_never_waits(folder, runtime, answers):
    program = textwrap.dedent("""
        import os, signal, sys
        from eacl_jax import EmotionRecognizer
        from eacl_jax.errors import UserError

        chat = ["Ann: hello day\\nBob: a rude table and a horrible day\\nAnn: great"] * 9
        recognizer = EmotionRecognizer.from_pretrained(sys.argv[1], runtime=sys.argv[2])
        before = recognizer.predict(chat)[0].emotions
        if child := os.fork():
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        signal.alarm(30)
        try:
            os._exit(0 if recognizer.predict(chat)[0].emotions == before else 1)
        except UserError as error:
            print(error, flush=True)
            os._exit(2)
    """)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(folder), runtime],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == (0 if answers else 2), ended.stderr
    if not answers:
        assert "loaded before os.fork" in ended.stdout
        assert "spawn" in ended.stdout
