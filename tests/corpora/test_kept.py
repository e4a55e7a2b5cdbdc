"""Whether an emotion is a model's answer that stands beside it."""

import pytest

from eacl_jax.corpora.found import Kept
from eacl_jax.corpora.kept import kept_of


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"p(joy)": "0.74", "p(anger)": "0.26"}, Kept.SAME),
        ({"p(joy)": "0,740508", "p(anger)": "0,259492"}, Kept.SAME),
        ({"p(joy)": "0,24", "p(anger)": "0,76"}, Kept.CORRECTED),
        ({"p(anger)": "1"}, Kept.CORRECTED),
        ({"p(joy)": "0,7", "p(anger)": "?"}, Kept.UNKNOWN),
        ({"p(joy)": "", "p(anger)": ""}, Kept.UNKNOWN),
        ({"p(joy)": "nan", "p(anger)": "0"}, Kept.UNKNOWN),
        ({"confidence": "0.7"}, Kept.UNKNOWN),
        ({"probabilities": {"joy": 0.7, "anger": 0.3}}, Kept.SAME),
        ({"probabilities": {"joy": 0.7, "anger": None}}, Kept.UNKNOWN),
        ({"probabilities": {"joy": 0.7, "anger": 10**400}}, Kept.UNKNOWN),
        ({"ticket": "7"}, Kept.NO_ANSWER),
        ({"possible": "joy;anger"}, Kept.NO_ANSWER),
    ],
)
def test_what_an_emotion_is_to_the_answer_beside_it(fields, expected):
    assert kept_of(fields, "joy") == expected
