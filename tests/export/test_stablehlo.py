"""An exported program answers as the recognizer, and needs nothing but JAX and NumPy."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from eacl_jax import Dialogue, EmotionRecognizer, Utterance
from eacl_jax.data.pipeline import evaluation_batches
from eacl_jax.errors import UserError
from eacl_jax.export import standalone_prompts
from eacl_jax.export.parts import prompt_form
from eacl_jax.export.stablehlo import export_stablehlo, write_about
from tests.stubs.recognizers import (
    ANSWERINGS,
    CHAIN,
    DIALOGUES,
    EVERY_ARCHITECTURE,
    LABELS,
    SEVERAL,
    SEVERAL_ANSWERINGS,
    recognizer,
    with_chain,
)

# Those whose attention knows nothing of distances.
ANY_LENGTH = {"bert", "electra", "roberta"}

# Finds no installed package but NumPy and those named.
BLOCKER = """
import runpy, sys

class Allowed:
    names = {"numpy", "run", *sys.argv[3:], *sys.stdlib_module_names}
    finders = list(sys.meta_path)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names or name.startswith("_sysconfigdata"):
            return next(filter(None, (finder.find_spec(name, path, target) for finder in self.finders)), None)

sys.meta_path[:] = [Allowed()]
for name in ("eacl_jax", "flax", "transformers", "safetensors", sys.argv[2]):
    try:
        __import__(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} can be imported")
sys.argv = sys.argv[1:2]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_alone(script: Path, *packages: str, without: str = "flatbuffers") -> str:
    """What a script prints in a process of its own, in which only NumPy and `packages` can be
    imported, or JAX and `packages`, and not the package `without`.
    """
    if without != "jax":
        packages = ("jax", "jaxlib", "ml_dtypes", "opt_einsum", "scipy", *packages)
    command = [sys.executable, "-c", BLOCKER, str(script), without, *packages]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=script.parents[1]
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def load(folder: Path) -> ModuleType:
    """The `run.py` of an export as a module."""
    spec = importlib.util.spec_from_file_location("run", folder / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_example(folder: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Gives an export another example.npz, which is taken for that of the export."""
    np.savez(folder / "example.npz", **arrays)
    take_for_its_own(folder)


def take_for_its_own(folder: Path) -> None:
    """Has the files of an export taken for its own, whatever they are."""
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    write_about(folder, about, {})


def compare(folder: Path, original: EmotionRecognizer) -> None:
    """Compares representations, cosines and probabilities of all utterances, one in a row."""
    program = load(folder)
    model = program.Model()
    prompts = [
        (example.tokens.tolist(), example.readout, example.truncated)
        for example in original.examples(DIALOGUES)
    ]
    representations, cosines, probabilities = model(*program.lay_out(prompts))
    expected = original.encode(DIALOGUES)
    answers = original.answer(
        expected, [each for dialogue in DIALOGUES for each in dialogue.utterances]
    )
    np.testing.assert_allclose(representations, expected, atol=1e-5)
    np.testing.assert_allclose(cosines, [list(a.cosines.values()) for a in answers], atol=1e-5)
    np.testing.assert_allclose(
        probabilities, [list(a.probabilities.values()) for a in answers], atol=1e-5
    )
    assert model.answers(probabilities) == [list(a.emotions) for a in answers]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("name", EVERY_ARCHITECTURE)
def test_every_architecture(name: str, tmp_path: Path) -> None:
    original = recognizer(name)
    shapes = export_stablehlo(original, tmp_path / "out", platforms=["cpu"])
    assert [str(shape) for shape in shapes] == (["*x*"] if name in ANY_LENGTH else ["*x32", "*x48"])
    compare(tmp_path / "out", original)


@pytest.mark.parametrize("readout", ["first", "mean"])
def test_other_readouts(readout, tmp_path: Path) -> None:
    original = recognizer(readout=readout, scan_layers=True)
    export_stablehlo(original, tmp_path / "out", platforms=["cpu"])
    compare(tmp_path / "out", original)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("answering", [*ANSWERINGS, *SEVERAL_ANSWERINGS])
def test_other_answerings(answering, tmp_path: Path) -> None:
    original = recognizer(**answering)
    export_stablehlo(original, tmp_path / "out", platforms=["cpu"])
    compare(tmp_path / "out", original)


def test_several_prompts_in_a_row(tmp_path: Path) -> None:
    original = recognizer()
    export_stablehlo(original, tmp_path / "out", platforms=["cpu"])
    ((batch, indices),) = evaluation_batches(original.examples(DIALOGUES), [(8, 64)])
    assert batch.segment_ids.max() > 1
    model = load(tmp_path / "out").Model()
    representations, _, _ = model(
        batch.tokens, batch.positions, batch.segment_ids, batch.readout[: len(indices)]
    )
    np.testing.assert_allclose(representations, original.encode(DIALOGUES)[indices], atol=1e-5)


@pytest.mark.parametrize("chain", [False, True])
def test_stands_alone(chain, tmp_path: Path) -> None:
    original = with_chain(recognizer()) if chain else recognizer()
    export_stablehlo(original, tmp_path / "out")
    *answers, last = run_alone(tmp_path / "out" / "run.py").splitlines()
    assert len(answers) == 3
    for label in LABELS:
        assert all(re.search(rf"{re.escape(label)} [01]\.\d{{4}}", answer) for answer in answers)
    assert float(last.rpartition(" ")[2]) < 1e-5
    about = json.loads((tmp_path / "out" / "model.json").read_text(encoding="utf-8"))
    assert about["platforms"] == ["cpu", "cuda", "tpu"]


@pytest.mark.slow
def test_several_labels_alone(tmp_path: Path) -> None:
    original = recognizer(**SEVERAL)
    assert {len(a.emotions) for d in original.predict(DIALOGUES) for a in d} == {0, 1, 2}
    export_stablehlo(original, tmp_path / "out", platforms=["cpu"])
    example = tmp_path / "out" / "example.npz"
    with np.load(example) as file:
        arrays = {name: file[name] for name in file.files}
    expected = original.predict([(u.split(": ", 1)) for u in arrays["utterances"].tolist()])
    *answers, last = run_alone(tmp_path / "out" / "run.py").splitlines()
    for printed, answer in zip(answers, expected, strict=True):
        shown = ", ".join(answer.emotions) or "none"
        assert f"  ->  {shown}  (" in printed
    assert float(last.rpartition(" ")[2]) < 1e-5
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "rows do not sum to 1" in readme
    assert "An utterance may have several of them, or none." in readme
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    utterances = [(u.speaker, u.text) for u in DIALOGUES[1].utterances]
    code = re.sub(
        r"^utterances = .*$", lambda _: f"utterances = {utterances!r}", code, flags=re.MULTILINE
    )
    (tmp_path / "out" / "try.py").write_text(code, encoding="utf-8")
    printed = run_alone(tmp_path / "out" / "try.py", "tokenizers").splitlines()
    for line, answer in zip(printed, original.predict(DIALOGUES[1]), strict=True):
        assert line.endswith(", ".join(answer.emotions) or "none")


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("kind", [{}, {"max_future": 1}, CHAIN], ids=["past", "later", "chain"])
def test_readme_builds_the_tokens(kind, tmp_path: Path) -> None:
    original = with_chain(recognizer()) if kind is CHAIN else recognizer(**kind)
    export_stablehlo(original, tmp_path / "out", platforms=["cpu"])
    readme = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    utterances = [(u.speaker, u.text) for u in DIALOGUES[0].utterances]
    code = re.sub(
        r"^utterances = .*$", lambda _: f"utterances = {utterances!r}", code, flags=re.MULTILINE
    )
    code = code.replace("zip(utterances, answers, strict", "zip(utterances, probabilities, strict")
    code = code.replace(", labels in", ", row in")
    code = re.sub(r"^    print\(.*\)$", "    print(row.tolist())", code, flags=re.MULTILINE)
    (tmp_path / "out" / "try.py").write_text(code, encoding="utf-8")
    printed = [
        json.loads(line)
        for line in run_alone(tmp_path / "out" / "try.py", "tokenizers").splitlines()
    ]
    expected = [list(answer.probabilities.values()) for answer in original.predict(DIALOGUES[0])]
    np.testing.assert_allclose(printed, expected, atol=1e-5)


@pytest.mark.parametrize("readout", ["mask", "first", "last", "mean"])
def test_prompts_are_the_recognizers(readout) -> None:
    original = recognizer(readout=readout)
    tokenizer, form = original.tokenizer, prompt_form(original)

    def encode(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]

    # Of many lengths, so that every rule for leaving out the past decides somewhere.
    generator = np.random.default_rng(0)
    drawn = [
        Dialogue(
            str(number),
            tuple(
                Utterance("Ann", "day " * count)
                for count in generator.integers(0, (3, 20)[number % 2], 6)
            ),
        )
        for number in range(40)
    ]
    for dialogue in [*DIALOGUES, *drawn]:
        utterances = [(u.speaker, u.text) for u in dialogue.utterances]
        for number, example in enumerate(original.examples([dialogue]), start=1):
            tokens, column, cut, unknown = standalone_prompts.prompt(
                encode, utterances[:number], form
            )
            assert tokens == example.tokens.tolist()
            assert (column, cut, unknown) == (
                example.readout,
                example.truncated,
                example.unknown,
            )


@pytest.mark.slow
def test_shapes_as_asked(tmp_path: Path) -> None:
    original = recognizer("mpnet")
    made = export_stablehlo(
        original, tmp_path / "out", shapes="16x48, *x48,8x32 ,8x32", platforms=["cpu"]
    )
    assert [str(shape) for shape in made] == ["8x32", "16x48", "*x48"]
    compare(tmp_path / "out", original)
    model = load(tmp_path / "out").Model()
    with pytest.raises(
        ValueError, match="no program takes rows of 49 tokens; there are predict-8x32"
    ):
        model(*np.zeros((3, 2, 49), np.int32), np.zeros((1, 2), np.int32))


@pytest.mark.slow
@pytest.mark.parametrize("shapes", ["2x48", "1x32,2x48,3x48"])
def test_more_rows_than_a_program_takes(shapes, tmp_path: Path, monkeypatch, capsys) -> None:
    original = recognizer()
    export_stablehlo(original, tmp_path / "out", shapes=shapes, platforms=["cpu"])
    compare(tmp_path / "out", original)
    program = load(tmp_path / "out")
    monkeypatch.setattr("sys.argv", ["run.py"])
    capsys.readouterr()
    program.main()
    printed, errors = capsys.readouterr()
    # The toy's tokenizer knows none of the example's words.
    assert errors.startswith("3 utterances hold mostly what the model's tokenizer does not know")
    assert float(printed.rpartition(" ")[2]) < 1e-5
    with np.load(tmp_path / "out" / "example.npz") as file:
        arrays = dict(file)
    flags = {"cut": np.array([1, 0, 1], bool), "unknown": np.array([0, 0, 1], bool)}
    write_example(tmp_path / "out", arrays | flags)
    program.main()
    errors = capsys.readouterr().err
    assert "2 utterances are longer than the model reads: their" in errors
    assert "1 utterance holds mostly what the model's tokenizer does not know" in errors
    ((batch, indices),) = evaluation_batches(original.examples(DIALOGUES), [(8, 48)])
    assert batch.segment_ids.max() > 1
    # Utterances in another order than their rows; the last rows hold none.
    order = np.random.default_rng(0).permutation(len(indices))
    representations, _, _ = program.Model()(
        batch.tokens, batch.positions, batch.segment_ids, batch.readout[order]
    )
    expected = original.encode(DIALOGUES)[indices][order]
    np.testing.assert_allclose(representations, expected, atol=1e-5)


def test_arguments_of_the_command(tmp_path: Path, monkeypatch, capsys) -> None:
    export_stablehlo(recognizer(), tmp_path / "out", platforms=["cpu"])
    program = load(tmp_path / "out")
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["run.py", "chat.txt"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    printed, errors = capsys.readouterr()
    assert printed == ""
    assert errors == ("error: run.py takes no file; README.md shows how to answer conversations.\n")
    monkeypatch.setattr("sys.argv", ["run.py", "--help"])
    program.main()
    assert "README.md shows how to answer others" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ("64", "'64' is no shape; expected auto, or ROWSxLENGTH"),
        ("*x*,", "'' is no shape"),
        ("0x32", "'0x32' is no shape"),
        ("*x8", "too short; rows have at least 16 tokens"),
        (
            "*x*",
            (
                r"cannot be exported for rows of any length, as \*x\* asks; give lengths"
                r" \(\*x32,\*x48\) or auto"
            ),
        ),
    ],
)
def test_impossible_shapes(shapes: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        export_stablehlo(recognizer("mpnet"), tmp_path / "out", shapes=shapes, platforms=["cpu"])
    assert not (tmp_path / "out").exists()


def test_refusals(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(UserError, match="is there and not an empty folder"):
        export_stablehlo(recognizer(), tmp_path / "full", platforms=["cpu"])
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["file"]
    with pytest.raises(
        UserError, match="platforms: 'abacus' is none; expected cpu, cuda, tpu or rocm"
    ):
        export_stablehlo(recognizer(), tmp_path / "out", platforms=["abacus"])
    with pytest.raises(UserError, match="cannot be made"):
        export_stablehlo(recognizer(), tmp_path / "full" / "file" / "out", platforms=["cpu"])
