"""The notebook runs from its first cell to its last."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "quickstart-to-own-labels.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]


def test_it_runs(project, monkeypatch, capsys):
    """From docs/, where a notebook starts that is opened in place. Models are untrained, so that
    answers are any.
    """
    monkeypatch.chdir(project / "docs")
    names: dict[str, object] = {}
    for number, cell in enumerate(cell for cell in CELLS if cell["cell_type"] == "code"):
        exec(compile("".join(cell["source"]), f"cell {number} of {NOTEBOOK.name}", "exec"), names)
    printed = capsys.readouterr().out
    assert "on held-out dialogues" in printed
    assert (project / "runs" / "support" / "heads.safetensors").exists()


@pytest.mark.parametrize("cell", CELLS, ids=[cell["id"] for cell in CELLS])
def test_what_it_shows_names_no_machine(cell):
    """Outputs are committed, to be read without running them."""
    shown = json.dumps([*cell["source"], *cell.get("outputs", [])])
    assert str(Path.home()) not in shown
    assert "Traceback" not in shown
