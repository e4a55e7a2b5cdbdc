"""The kinds of features that a model of a corpus reads."""

import pytest

from eacl_jax.config import FeaturesConfig
from eacl_jax.data.beside import modalities_of
from eacl_jax.dialogue import Corpus, Dialogue, FeatureKind, Taxonomy, Utterance
from eacl_jax.errors import UserError


def test_features_of_which_training_has_none_are_refused():
    splits = dict.fromkeys(("train", "dev", "test"), (Dialogue("a", (Utterance("Ann", "hm"),)),))
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    corpus = Corpus("custom", taxonomy, splits, "single", features={"voice": FeatureKind()})
    with pytest.raises(UserError, match=r"'voice' within config\.data\.max_dialogues"):
        modalities_of(corpus, FeaturesConfig())
