"""Scoring a run again."""

import pytest

from eacl_jax.config import Config
from eacl_jax.errors import UserError
from eacl_jax.training import evaluation, run_folder


def test_the_built_in_corpus_is_nowhere_else(tmp_path):
    run_folder.write_inputs(tmp_path, Config(), {})
    with pytest.raises(UserError, match=r"data_dir: the run's corpus, smalltalk, comes with the"):
        evaluation.evaluate(tmp_path, "test", data_dir="moved")
    with pytest.raises(UserError, match="holds no model/"):  # which is asked for next
        evaluation.evaluate(tmp_path, "test")
