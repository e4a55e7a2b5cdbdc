"""What a run of several labels tells: its report, its scores again, and when it may not go on."""

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from eacl_jax.errors import UserError
from eacl_jax.recognizer.facts import Facts
from eacl_jax.training import evaluation, run, run_folder
from tests.stubs.toys import make_config

pytestmark = pytest.mark.slow


def test_scored_again_it_has_the_same_scores(finished_several):
    scores = evaluation.evaluate(finished_several, "test")
    results = run_folder.read_results(finished_several).to_json()
    assert scores == {stage: results[stage]["test"] for stage in ("stage_one", "stage_two")}
    out = io.StringIO()
    evaluation.print_scores(finished_several, "test", scores, Console(file=out, width=100))
    assert "the same as results.json" in out.getvalue()
    assert "mood: macro F1" in out.getvalue()


def test_results_tell_of_annotators_and_coarser_labels(finished_several):
    results = run_folder.read_results(finished_several)
    assert results.annotators is not None
    found = results.annotators.stage_two["test"]
    split = json.loads((finished_several / "data.json").read_text())["corpus"]["test"]
    assert found.agreed.utterances + found.differed.utterances == split["utterances"]
    facts = Facts.read(finished_several / "model")
    assert facts is not None
    assert facts.levels == {"mood": ("bad", "good")}
    assert facts.annotated is not None
    assert facts.annotated["test"] == split["utterances"]
    assert facts.results == results


def test_the_report_can_be_written(toy_several, finished_several, tmp_path):
    """As a run does that goes on from its last checkpoint."""
    shutil.copytree(finished_several, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    out = io.StringIO()
    config = make_config(toy_several)
    run.train(config, tmp_path / "run", console=Console(file=out, width=100), keep=["report"])
    page = (tmp_path / "run" / "report" / "index.html").read_text(encoding="utf-8")
    for words in ("Which labels are answered where a label is", "mood, stage two", "threshold"):
        assert words in page
    assert "by coarser labels, stage two" in out.getvalue()


def test_with_other_labels_it_does_not_go_on(toy_several, finished_several, tmp_path):
    files = {}
    for split in ("train", "dev", "test"):
        there = Path(toy_several[f"data.{split}"])
        files[f"data.{split}"] = str(shutil.copy(there, tmp_path))
    lines = Path(files["data.dev"]).read_text(encoding="utf-8").splitlines(keepends=True)
    first = json.loads(lines[0])
    first["utterances"][0]["annotations"].append(["joy"])
    Path(files["data.dev"]).write_text(json.dumps(first) + "\n" + "".join(lines[1:]))
    shutil.copytree(finished_several, tmp_path / "run")
    with pytest.raises(UserError, match="dev: texts, speakers, emotions or ids"):
        run.train(make_config({**toy_several, **files}), tmp_path / "run")
