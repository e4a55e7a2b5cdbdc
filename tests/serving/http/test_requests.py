"""A request's dialogues are read as the library reads them."""

import pytest

from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.http.requests import dialogues_of
from eacl_jax.serving.http.schemas import AskedDialogue
from eacl_jax.serving.settings import Limits


def test_dialogues_that_stand_newest_first_are_refused():
    turns = [{"text": f"{number}", "timestamp": f"2024-05-01 10:0{number}"} for number in range(4)]
    (read,), _ = dialogues_of([AskedDialogue.model_validate({"utterances": turns})], Limits(), {})
    assert [each.text for each in read.utterances] == ["0", "1", "2", "3"]
    asked = AskedDialogue.model_validate({"utterances": turns[::-1]})
    with pytest.raises(ApiError, match=r"dialogues\[0\] stands newest first, by 'timestamp'") as e:
        dialogues_of([asked], Limits(), {})
    assert (e.value.status_code, e.value.field) == (422, "dialogues[0]")


def test_a_transcript_is_one_conversation():
    asked = AskedDialogue.model_validate({"transcript": "Ann: a\n\nBen: b\n\n\nAnn: c"})
    (read,), _ = dialogues_of([asked], Limits(), {})
    assert [each.text for each in read.utterances] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "value",
    ["[" * 10**6, f"12/05/2024, 10:01{' ' * 10**6}!", "1" * 10**6, "9" * 308 + ".1" * 10**5],
)
def test_fields_of_the_callers_hold_nobody_up(value):
    """At the square of a field's length this would not end."""
    turns = [{"text": f"{number}", "time": value, "mine": value} for number in range(3)]
    asked = AskedDialogue.model_validate({"utterances": turns})
    (read,), _ = dialogues_of([asked], Limits(), {})
    assert read.utterances[2].other == {"time": value, "mine": value}


def test_texts_hold_nobody_up_before_their_length_is_known():
    for text in (f"[{' ' * 10**6}x: y", f"10:31 From{' ' * 10**6}x", f"Ann\t{' ' * 10**6}\tx"):
        for given in ({"utterances": [text]}, {"transcript": text}):
            with pytest.raises(ApiError, match="the limit is 10000"):
                dialogues_of([AskedDialogue.model_validate(given)], Limits(), {})


def test_what_is_there_again_with_its_id_is_refused():
    turns = [{"text": text, "speaker": "A", "id": text} for text in ("a", "b", "a")]
    asked = AskedDialogue.model_validate({"utterances": turns})
    with pytest.raises(ApiError, match=r"dialogues\[0\]\.utterances\[2\]: 'a' in field 'id'") as e:
        dialogues_of([asked], Limits(), {})
    assert (e.value.status_code, e.value.field) == (422, "dialogues[0]")
