"""Studies with real runs: each that ships, in its smallest form on the built-in corpus; and what a
person is left with.
"""

import csv
import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from eacl_jax.cli import configuration
from eacl_jax.cli.searching import train_command
from eacl_jax.studies import outcome, reading, runner
from eacl_jax.studies.definition import ALWAYS, Study
from eacl_jax.studies.search.outcome import conclude
from eacl_jax.studies.search.reading import read_search
from eacl_jax.studies.search.runner import run_search
from eacl_jax.studies.search.trials import best
from eacl_jax.training import run
from tests.stubs.root import ROOT
from tests.stubs.toys import make_encoder_folder

pytestmark = pytest.mark.usefixtures("one_device")

LABELS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
# That the tiny encoder's tokenizer knows.
WORDS = ("anger", "awful", "horrible", "joy", "rude", "great", "neutral")
# "ablation" and "best" have no variant that they do not have.
SHIPPED = (
    "anchors",
    "imbalance",
    "backbones",
    "similar",
    "sensitivity",
    "paper",
    "recipe",
    "context",
)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return make_encoder_folder(tmp_path_factory.mktemp("encoder"))


def study(name, encoder, cache, seeds) -> Study:
    """A study that ships, in its tiny form on smalltalk."""
    file = ROOT / "configs" / "studies" / f"{name}.py"
    given = f"corpus=smalltalk,encoder={encoder},seeds={seeds},tiny"
    values = configuration.load_study(f"{file}:{given}")
    with values.base.unlocked():
        values.base.data.cache_dir = str(cache)
        # Few shapes, each of which is a compilation of every variant.
        values.base.prompt.update(max_tokens=48, max_past=0)
        values.base.batch.update(layout="padded", eval_batch_size=4)
        values.base.encoder.frozen_layers = 0
        values.base.run.save_every = 0
        values.base.data.labels, values.base.data.words = LABELS, WORDS
    for axis in values.axes.values():  # it has two layers
        for settings in axis.values():
            if settings.get("encoder.frozen_layers"):
                settings["encoder.frozen_layers"] = 1
    return reading.read_study(values)


def check(folder, checked, capsys):
    """Runs it, and looks at what is left."""
    done = runner.run_study(checked, folder)
    assert not done.failed, done.failed
    _, page, _ = outcome.write_results(checked, folder)
    table = json.loads((folder / "study.json").read_text())
    rows = {(row["corpus"], row["variant"], row["stage"]) for row in table["rows"]}
    assert rows == {
        (corpus, variant, stage)
        for corpus in checked.corpora
        for variant in checked.variants
        for stage in ("stage_one", "stage_two")
    } | {(to.target, to.variant, "") for cell in checked.cells for to in cell.transfers} | {
        (corpus, ALWAYS, "") for corpus in checked.corpora if checked.always
    }
    assert len(table["comparisons"]) == len(checked.comparisons) * len(checked.measures)
    assert page.stat().st_size > 10_000
    with (folder / "rows.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    assert "\\toprule" in (folder / "tables.tex").read_text()
    # Nothing of a run stays but what the table is made of.
    for cell in (folder / "cells").glob("*/*/seed-*"):
        assert {path.name for path in cell.iterdir()} == {
            *("config.json", "data.json", "metrics.jsonl"),
            *("outputs.safetensors", "cost.json", "results.json"),
            *(("transfer",) if checked.transfer else ()),
        }
    capsys.readouterr()
    again = runner.run_study(checked, folder)  # nothing is left to do
    assert again.complete == done.complete
    assert "dev" not in capsys.readouterr().out.partition("folder")[2].partition("scores")[0]


@pytest.mark.slow
def test_a_study_from_its_file_to_its_page(encoder, tmp_path, capsys):
    checked = study("ablation", encoder, tmp_path / "cache", seeds=2)
    chosen = ("paper", "cross-entropy alone")
    check(tmp_path / "study", only(checked, chosen), capsys)


@pytest.mark.long
def test_taxonomies(encoder, tmp_path, capsys):
    """Fine and coarse labels of a corpus, each answered by the other's run too."""
    values = configuration.load_study(
        f"{ROOT}/configs/studies/taxonomies.py:encoder={encoder},seeds=1,tiny"
    )
    with values.base.unlocked():
        values.base.data.cache_dir = str(tmp_path / "cache")
        values.base.encoder.frozen_layers = 0
        values.base.prompt.max_tokens = 96
        values.base.data.labels, values.base.data.words = LABELS, WORDS
    values.corpora["smalltalk, coarse"]["data.words"] = ("great", "awful", "neutral", "good")
    checked = reading.read_study(values)
    check(tmp_path / "study", checked, capsys)
    folders = list((tmp_path / "study" / "cells").glob("*/*/seed-0/transfer"))
    assert sorted(file.name for folder in folders for file in folder.iterdir()) == sorted(
        f"{corpus}.{examples}.safetensors"
        for corpus in ("smalltalk", "smalltalk-coarse")
        for examples in (0, 5, 20)
    )


@pytest.mark.slow
def test_a_search_from_its_file_to_its_page(encoder, tmp_path, capsys):
    values = configuration.load_study(
        f"{ROOT}/configs/studies/search.py:encoder={encoder},seeds=1,trials=2,tiny"
    )
    with values.base.unlocked():
        values.base.data.cache_dir = str(tmp_path / "cache")
        values.base.prompt.update(max_tokens=48, max_past=0)
        values.base.batch.update(layout="padded", eval_batch_size=4)
        values.base.encoder.frozen_layers = 0
        values.base.data.labels, values.base.data.words = LABELS, WORDS
    search, folder = read_search(values), tmp_path / "study"
    found = run_search(search, folder)
    assert [(trial.state, list(trial.epochs)) for trial in found] == [("complete", [1])] * 2
    for trial in found:
        results = json.loads((folder / "trials" / str(trial.number) / "results.json").read_text())
        assert trial.value == results["stage_two"]["dev"]["weighted_f1"]
        assert not (folder / "trials" / str(trial.number) / "checkpoints").exists()
    check(folder, conclude(search, found, folder), capsys)
    # As the command that is told trains it.
    *_, config, workdir = shlex.split(train_command(found, folder))
    config, workdir = (each.partition("=")[2] for each in (config, workdir))
    again = run.train(configuration.parse_config(config, ()), Path(workdir))
    assert again.stage_two.dev.weighted_f1 == best(found).value
    assert (Path(workdir) / "model").is_dir()


@pytest.mark.long
def test_modalities(encoder, tmp_path, capsys):
    """With a voice that tells joy, in a table for all splits."""
    rows = ["dialogue,utterance,loudness"]
    for file in (ROOT / "eacl_jax" / "corpora" / "smalltalk_data").glob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            dialogue = json.loads(line)
            rows += [
                f"{dialogue['id']},{number},{float(turn['emotion'] == 'joy')}"
                for number, turn in enumerate(dialogue["utterances"])
            ]
    table = tmp_path / "voice.csv"
    table.write_text("\n".join(rows) + "\n", encoding="utf-8")
    given = f"features=voice:{table},words,encoder={encoder},seeds=1,tiny"
    values = configuration.load_study(f"{ROOT}/configs/studies/modalities.py:{given}")
    with values.base.unlocked():
        values.base.data.cache_dir = str(tmp_path / "cache")
        values.base.encoder.frozen_layers = 0
        values.base.prompt.update(max_tokens=48, max_past=0)
        values.base.batch.update(layout="padded", eval_batch_size=4)
        values.base.run.save_every = 0
        values.base.data.labels, values.base.data.words = LABELS, WORDS
    checked = reading.read_study(values)
    chosen = ("text", "voice", "text + voice, as words")
    check(tmp_path / "study", only(checked, chosen), capsys)
    (words,) = (tmp_path / "study" / "cells").glob("*/text-+-voice-as-words/*/results.json")
    adds = json.loads(words.read_text())["modalities"]
    assert adds["fusion"] == "words"
    assert adds["each"]["voice"]["utterances"] == adds["utterances"]


def only(checked, variants):
    """The same study of fewer variants."""
    return dataclasses.replace(
        checked,
        variants=variants,
        cells=tuple(cell for cell in checked.cells if cell.variant in variants),
        comparisons=tuple(
            pair
            for pair in checked.comparisons
            if {side.variant for side in pair} <= {*variants, ALWAYS}
        ),
    )


@pytest.mark.long
@pytest.mark.parametrize("name", SHIPPED)
def test_each_study_that_ships_runs_to_its_end(name, encoder, tmp_path, capsys):
    checked = study(name, encoder, tmp_path / "cache", seeds=1)
    if name == "sensitivity":  # its variants differ in a number
        checked = only(checked, checked.variants[:13:4])
    check(tmp_path / "study", checked, capsys)
