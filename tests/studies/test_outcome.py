"""A study's folder at the end."""

import json

import pytest

from eacl_jax.files import whole
from eacl_jax.reports import drawing
from eacl_jax.studies import cells, statistics
from eacl_jax.studies.outcome import write_results
from eacl_jax.training import run_folder
from eacl_jax.training.cost import write_cost
from eacl_jax.training.outputs import FILE, write_outputs
from tests.stubs.study import make_study


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(drawing, "render", lambda draw, theme: b"")
    monkeypatch.setattr(statistics, "DRAWS", 200)


def test_the_folder_of_a_study_in_every_state(tmp_path):
    study, runs = make_study(
        {"plain": (1.0, {}), "hot": (1.3, {"loss.temperature": 1.0})},
        corpora=["meld"],
        seeds=[0, 1, 2],
        dialogues=10,
    )
    folders = [cells.folder_of(tmp_path, run.cell) for run in runs]
    for run, folder in list(zip(runs, folders, strict=True))[:4]:
        folder.mkdir(parents=True)
        whole.write_json(folder / run_folder.CONFIG, run.cell.config.to_dict())
        text = json.dumps(run.results.to_json())
        (folder / run_folder.RESULTS).write_text(text, encoding="utf-8")
        write_outputs(folder, run.outputs)
        write_cost(folder, run.cost)
    (folders[0] / FILE).unlink()
    (folders[1] / "cost.json").unlink()
    cells.write_failure(folders[4], MemoryError("no room"))
    table, page, unread = write_results(study, tmp_path)
    assert page == tmp_path / "index.html"
    assert list(unread) == [runs[0].cell]
    assert set(table.failed) == {"meld/plain/seed-0", "meld/hot/seed-1"}
    read = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert [row["seeds"] for row in read["rows"]] == [[1, 2], [1, 2], [0], [0]]
    assert "is missing; delete" in read["failed"]["meld/plain/seed-0"]
    assert read["failed"]["meld/hot/seed-1"] == "MemoryError: no room"
    assert read["missing"] == ["meld/hot/seed-2"]
    assert read["rows"][0]["cost"]["parameters"] == runs[2].cost.parameters
    for name in ("index.html", "rows.csv", "comparisons.csv", "tables.md", "tables.tex"):
        assert (tmp_path / name).stat().st_size > 100
    before = (tmp_path / "study.json").read_bytes()
    write_results(study, tmp_path)
    assert (tmp_path / "study.json").read_bytes() == before
