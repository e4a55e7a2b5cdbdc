"""Anchors that leave labels indistinguishable are refused; a label's several may be what they
like.
"""

import numpy as np
import pytest

from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.model.anchors import check_anchors

TAXONOMY = Taxonomy(("joy", "anger", "fear"), ("joy", "anger", "fear"))


def test_a_label_may_have_equal_anchors_but_not_another_labels():
    joy, anger, fear = np.eye(3, dtype=np.float32)
    assert check_anchors(TAXONOMY, np.array([joy, joy, anger, anger, fear, fear])) == ()
    # One that two labels share leaves the others to tell them apart.
    (warned,) = check_anchors(TAXONOMY, np.array([joy, anger, anger, anger, fear, fear]))
    assert "nearly equal: 'joy' and 'anger' (cosine 1.0000)" in warned
    with pytest.raises(UserError, match="their anchors are equal: 'joy' and 'anger'"):
        check_anchors(TAXONOMY, np.array([joy, anger, anger, joy, fear, fear]))


def test_the_label_of_an_anchor_that_is_not_finite_is_named():
    anchors = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    anchors[3, 0] = np.inf
    with pytest.raises(UserError, match="the anchor of label 'anger' holds NaN or infinity"):
        check_anchors(TAXONOMY, anchors)
