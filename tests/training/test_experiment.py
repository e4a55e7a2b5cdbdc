"""What a run is given, where several runs of one process share it."""

import dataclasses

import jax
import numpy as np
import pytest

from eacl_jax.data.prompts import Example
from eacl_jax.model.mesh import make_mesh
from eacl_jax.training import experiment
from eacl_jax.training.experiment import Shared
from tests.stubs.toys import make_config


def test_rows_of_prompts_with_words_are_not_those_of_prompts_without(monkeypatch):
    seen = []
    monkeypatch.setattr(experiment, "well_used", lambda mesh, use, **_: seen.append(use) or mesh)
    config = make_config({"batch.layout": "packed", "stage_one.batch_size": 32})
    longest, inputs = config.prompt.max_tokens, Shared()
    for words, length in (((), longest // 8), (("voice",), longest)):
        lengths = [longest] + [length] * 63
        examples = [Example(np.zeros(n, np.int32), 0, 0, "d", 0) for n in lengths]
        experiment._devices_used(
            make_mesh(), config, examples, inputs, words=words, may_leave_out=True
        )
    few, many = (use.rows for use in seen)
    assert few < many


@pytest.mark.parametrize(
    ("chunks", "devices", "warning"),
    [
        (4, 1, ""),
        (9, 1, "stage_one.chunks=9, and a batch has 8 rows at most: the"),
        (4, 2, ""),
        (5, 2, "=5, and a batch has 8 rows at most for 2 devices: the other chunks hold padding"),
    ],
)
def test_chunks_of_padding_alone_are_warned_of(caplog, chunks, devices, warning):
    config = make_config(
        {"batch.layout": "padded", "stage_one.batch_size": 8, "stage_one.chunks": min(chunks, 8)}
    )
    config = dataclasses.replace(
        config, stage_one=dataclasses.replace(config.stage_one, chunks=chunks)
    )
    mesh = make_mesh(jax.devices()[:devices])
    examples = [Example(np.zeros(9, np.int32), 0, 0, "d", 0)] * 8
    experiment._devices_used(mesh, config, examples, Shared(), words=(), may_leave_out=True)
    assert warning in caplog.text
    assert bool(warning) == bool(caplog.text)
