"""What an encoder reads of label words."""

import pytest

from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import LabelsError
from eacl_jax.model.label_words import check_words, label_batch, label_batches
from tests.stubs.encoders import make_tokenizer
from tests.stubs.tokenizers import tokenizer_of


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        (("радость", "гнев", "печаль"), "'радость', 'гнев', 'печаль'"),
        (("喜び", "怒り", "neutral"), "'喜び', '怒り'"),
        (("joy|радость", "anger", "sadness"), "'joy|радость'"),
        (("joie", "colère", "tristeză"), ""),
        (("joy 😀", "anger", "sadness"), ""),
    ],
)
def test_words_that_are_only_spelt_out_are_named(words, unknown, tmp_path):
    # Of bytes, so that no text has an unknown token.
    found = check_words(tokenizer_of("roberta", tmp_path), Taxonomy(words, words))
    assert len(found) == bool(unknown)
    assert not unknown or f"does not know the words of the labels {unknown}: their" in found[0]


@pytest.mark.parametrize(("most", "fits"), [(46, True), (47, False), (48, False)])
def test_words_longer_than_the_encoder_reads_are_refused(most, fits):
    taxonomy = Taxonomy(("sad", "joy"), ("so", "so " * most))
    for make in (label_batch, lambda *given: list(label_batches(*given))):
        if fits:
            make(make_tokenizer(), taxonomy, 46)
        else:
            told = f"longer than the 46 tokens .*: those of 'joy' are {most}; shorten them"
            with pytest.raises(LabelsError, match=told):
                make(make_tokenizer(), taxonomy, 46)
