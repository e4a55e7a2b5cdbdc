"""What a run is given, where several runs of one process share it."""

import numpy as np

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
