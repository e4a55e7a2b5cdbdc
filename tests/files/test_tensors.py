"""Safetensors files that cannot be used are named, with what to do."""

import json
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from eacl_jax.errors import UserError
from eacl_jax.files.tensors import load_tensors


def test_tensors_by_name(tmp_path):
    save_file({"a": np.arange(3.0)}, tmp_path / "x")
    np.testing.assert_array_equal(load_tensors(tmp_path / "x", "mend it")["a"], np.arange(3.0))


def test_what_cannot_be_used_is_named(tmp_path):
    file = tmp_path / "x"
    with pytest.raises(UserError, match=r"x is missing; mend it\."):
        load_tensors(file, "mend it")
    file.write_bytes(b"{}")
    with pytest.raises(UserError, match=r"x is damaged or no safetensors file \(.+\); mend it\."):
        load_tensors(file, "mend it")
    header = json.dumps({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(2))
    with pytest.raises(
        UserError, match=r"x holds numbers of a type that NumPy does not have \(.*8"
    ):
        load_tensors(file, "mend it")
