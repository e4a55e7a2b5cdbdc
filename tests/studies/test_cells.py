"""A study's folder is one study's, and a complete cell keeps what is needed."""

import json

import pytest

from eacl_jax.errors import UserError
from eacl_jax.studies import cells
from eacl_jax.studies.cells import State
from tests.stubs.studies import make_study


def refused(study, folder):
    with pytest.raises(UserError) as error:
        cells.register(study, folder)
    return str(error.value)


def test_the_same_study_may_grow(tmp_path):
    cells.register(make_study(variants=2, seeds=1), tmp_path / "study")
    before = (tmp_path / "study" / cells.STUDY).read_text()
    grown = make_study(variants=3, seeds=4, corpora=("talk", "more"))
    cells.check(grown, tmp_path / "study")
    assert (tmp_path / "study" / cells.STUDY).read_text() == before
    cells.register(grown, tmp_path / "study")
    cells.register(make_study(variants=1), tmp_path / "study")
    found = json.loads((tmp_path / "study" / cells.STUDY).read_text())
    assert {name: list(of) for name, of in found["settings"].items()} == {
        "talk": ["v0", "v1", "v2"],
        "more": ["v0", "v1", "v2"],
    }


def test_another_study_in_its_folder_is_refused(tmp_path):
    cells.register(make_study(), tmp_path)
    assert refused(make_study(name="other"), tmp_path) == (
        f"workdir {tmp_path} holds the study 'stub', and this one is 'other'; name another folder."
    )
    changed = refused(
        make_study(axes={"x": {"v0": {"loss.temperature": 0.5}}}, corpora={"talk": {}}), tmp_path
    )
    assert "holds this study with other settings" in changed
    assert "talk, v0: loss.temperature: there 0.1, now 0.5" in changed
    assert "talk, v0: the encoder's config: there 1, now 2" in refused(
        make_study(files="2"), tmp_path
    )


def test_where_things_are_may_change(tmp_path):
    talk = {"data.corpus": "meld", "data.max_dialogues": 1}
    cells.register(make_study(variants=1, corpora={"talk": talk}), tmp_path)
    moved = {**talk, "data.dir": "elsewhere", "encoder.path": "there"}
    cells.register(make_study(variants=1, corpora={"talk": moved}), tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("config.json", "{}", "holds a run, so it is not a study's folder"),
        ("notes.txt", "", "holds files but no study.config.json"),
        (cells.STUDY, '{"format": "eacl_jax study 0"}', "was written by another version"),
        (cells.STUDY, '{"format": "eacl_jax study 1", "name": "stub"}', "is damaged"),
        (cells.STUDY, "{", "not valid JSON"),
        (
            cells.STUDY,
            json.dumps(
                {
                    "format": "eacl_jax study 1",
                    "name": "stub",
                    "settings": {"talk": {"v0": {"config": {"loss": {"sharpness": 1}}}}},
                }
            ),
            "was written by another version",
        ),
    ],
)
def test_a_folder_that_is_no_such_studys(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    assert expected in refused(make_study(), tmp_path)


def test_a_file_or_a_link_to_nothing_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    assert "is a file" in refused(make_study(), tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "none")
    message = f"is a link to {tmp_path / 'none'}, which is not there"
    assert message in refused(make_study(), tmp_path / "link")


def test_what_a_cells_folder_says(tmp_path):
    (cell,) = make_study(variants=1, seeds=1).cells
    folder = cells.folder_of(tmp_path, cell)
    assert folder == tmp_path / "cells/talk/v0/seed-0"
    assert cells.state_of(tmp_path, cell) is State.NEW
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    assert cells.state_of(tmp_path, cell) is State.BEGUN
    cells.write_failure(folder, UserError("the disk is full."))
    assert cells.state_of(tmp_path, cell) is State.FAILED
    assert cells.read_failure(folder) == cells.Failure("the disk is full.")
    try:
        raise RuntimeError("out of\nmemory")
    except RuntimeError as error:
        cells.write_failure(folder, error)
    failure = cells.read_failure(folder)
    assert failure.reason == "RuntimeError: out of memory"
    assert "test_cells.py" in failure.traceback
    (folder / cells.FAILED).write_text("{")
    assert "not valid JSON" in cells.read_failure(folder).reason
    (folder / "results.json").touch()
    (folder / "checkpoints" / "1").mkdir(parents=True)
    assert cells.state_of(tmp_path, cell) is State.COMPLETE
    assert not cells.is_tidy(folder)
    cells.tidy(folder)
    assert cells.is_tidy(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "results.json"]
