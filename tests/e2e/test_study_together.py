"""A study whose runs are each done by two processes: the table of one process, and failures that
are failures of runs.
"""

import json

import pytest

from tests.stubs.cluster import Together
from tests.stubs.toys import make_corpus_files, make_encoder_folder

FILE = """
from ml_collections import ConfigDict
from eacl_jax.config import Config

def get_config(argument=None):
    base = ConfigDict(Config().to_dict())
    base.update_from_flattened_dict({settings!r})
    return ConfigDict(dict(
        name="together", question="Is it the same table?", base=base, seeds=(0, 1),
        corpora={{"talk": {{}}}},
        axes={{"x": {{
            "medium": {{"loss.temperature": 0.5}},
            "hopeless": {{"stage_one.encoder_lr": 1e30, "stage_one.head_lr": 1e30}},
            "cold": {{"loss.temperature": 0.1}},
        }}}},
        comparisons=[["cold", "medium"]],
    ), convert_dict=False)
"""


@pytest.fixture
def file(tmp_path):
    settings = {
        "data.corpus": "custom",
        **{f"data.{k}": v for k, v in make_corpus_files(tmp_path / "corpus").items()},
        "data.cache_dir": str(tmp_path / "cache"),
        "encoder.path": str(make_encoder_folder(tmp_path / "encoder")),
        "prompt.max_tokens": 64,
        "prompt.max_past": 0,
        "stage_one.epochs": 2,
        "stage_one.batch_size": 16,
        "stage_two.epochs": 1,
        "stage_two.batch_size": 16,
        "batch.eval_batch_size": 16,
    }
    study = tmp_path / "together.py"
    study.write_text(FILE.format(settings=settings))
    return study


def rows(folder):
    found = json.loads((folder / "study.json").read_text())["rows"]
    return [{key: value for key, value in row.items() if key != "cost"} for row in found]


@pytest.mark.long
def test_two_processes_give_the_table_of_one_and_go_on_after_a_failure(file, tmp_path):
    tables = []
    for processes in (1, 2):
        workdir = tmp_path / f"study-{processes}"
        with Together(
            [str(file), f"--workdir={workdir}"],
            tmp_path / f"logs-{processes}",
            processes=processes,
            devices=2 // processes,
            script=("launch/study.py",),
        ) as study:
            statuses = study.statuses()
            text = study.text(0)
            assert statuses == [2] * processes, text  # as two runs failed
            assert "runs: 4 complete, 2 failed" in text
            assert text.count("hopeless, seed 1: the loss is not finite") == 1
            assert all("hopeless" not in study.text(number) for number in range(1, processes))
        tables.append(rows(workdir))
    assert tables[0] == tables[1]


ONE_FAILS = """
import runpy, sys
from eacl_jax.studies import together
from eacl_jax.training import stage_one
together._MINUTES = 5.0
number = int(sys.argv[-1].rsplit(",", 1)[1])
begin = stage_one.run_stage_one
def fail(experiment, context):
    if number == 1:
        raise OSError(28, "No space left on device", "cache")
    return begin(experiment, context)
from eacl_jax.training import run
run.run_stage_one = fail
sys.argv[0] = "launch/study.py"
runpy.run_path("launch/study.py", run_name="__main__")
"""


@pytest.mark.long
def test_what_fails_in_one_process_alone_is_reported_with_its_reason(file, tmp_path):
    script = tmp_path / "one_fails.py"
    script.write_text(ONE_FAILS)
    with Together(
        [str(file), f"--workdir={tmp_path / 'study'}"],
        tmp_path / "logs",
        processes=2,
        script=(str(script),),
    ) as study:
        assert study.statuses() == [2, 2]
        assert "FAILED: process 1: " in study.text(0)
        assert "no space left on the disk; free some" in study.text(0)
        assert "damaged" not in study.text(0)


@pytest.mark.slow
def test_what_is_for_one_process_is_refused(file, tmp_path):
    with Together(
        [str(file), f"--workdir={tmp_path / 'study'}", "--jobs=2"],
        tmp_path / "logs",
        processes=2,
        script=("launch/study.py",),
    ) as study:
        assert study.statuses() == [2, 2]
        assert "--jobs is not for several processes that do each run together" in study.text(0)
