"""What people give as a dialogue, and what they are told where it is none."""

import pandas as pd
import pytest

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.inputs import NOBODY, read_dialogues, read_utterance

ANN, BEN = Utterance("Ann", "I got it!"), Utterance("Ben", "The flat?")
SAID = (ANN, BEN)


@pytest.mark.parametrize(
    "given",
    [
        "Ann: I got it!\n\nBen: The flat?\n",
        ["Ann: I got it!", "Ben: The flat?"],
        [{"speaker": "Ann", "text": "I got it!"}, {"speaker": "Ben", "text": "The flat?"}],
        [ANN, "Ben: The flat?"],
        {"utterances": [{"speaker": "Ann", "text": "I got it!"}, "Ben: The flat?"]},
        Dialogue("1", SAID),
        pd.DataFrame({"speaker": ["Ann", "Ben"], "text": ["I got it!", "The flat?"]}),
    ],
)
def test_every_form_of_one_dialogue(given):
    assert read_dialogues(given) == ([Dialogue("1", SAID)], True)


def test_forms_of_several_dialogues():
    both = [Dialogue("1", (ANN,)), Dialogue("2", (BEN,))]
    assert read_dialogues([["Ann: I got it!"], ["Ben: The flat?"]]) == (both, False)
    assert read_dialogues([{"utterances": ["Ann: I got it!"]}, Dialogue("2", (BEN,))]) == (both, False)
    frame = pd.DataFrame({"dialogue": [1, 2], "speaker": ["Ann", "Ben"], "text": ["I got it!", "The flat?"]})
    assert read_dialogues(frame) == (both, False)
    assert read_dialogues([]) == ([], False)
    one = Dialogue("1", SAID)
    assert read_dialogues([one]) == ([one], False)


def test_rows_of_a_frame_need_not_be_neighbours_and_may_lack_an_emotion():
    frame = pd.DataFrame(
        {"dialogue": ["x", "y", "x"], "speaker": ["Ann", "Cy", None], "text": ["a", "b", "c"], "emotion": ["joy", None, None]}
    )
    dialogues, single = read_dialogues(frame)
    assert not single
    assert dialogues[0] == Dialogue("x", (Utterance("Ann", "a", "joy"), Utterance(NOBODY, "c")))


@pytest.mark.parametrize(
    ("line", "speaker", "text"),
    [
        ("Ann: hello", "Ann", "hello"),
        ("  Ann :hello: you", "Ann", "hello: you"),
        ("Mary Ann O'Neil: hi", "Mary Ann O'Neil", "hi"),
        ("Agent_2: hi", "Agent_2", "hi"),
        ("Жанна: привет", "Жанна", "привет"),
        ("Ann:", "Ann", ""),
        ("see http://x.org", NOBODY, "see http://x.org"),
        ("http://x.org is down", NOBODY, "http://x.org is down"),
        ("10:30 is fine", NOBODY, "10:30 is fine"),
        ("no colon", NOBODY, "no colon"),
        ("I will tell you one more thing: no", NOBODY, "I will tell you one more thing: no"),
    ],
)
def test_the_speaker_of_a_line(line, speaker, text):
    assert read_utterance(line) == Utterance(speaker, text)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (7, "expected a dialogue or a list of dialogues, got int"),
        ([7], "dialogue number 1 must be a text, a list of utterances or an object, got int"),
        ({"utterances": "Ann: hi"}, "must have a list of 'utterances', got str"),
        ({"utterance": []}, r"unknown fields \['utterance'\]"),
        ({"id": 3, "utterances": []}, "field 'id' must be a string, got 3"),
        ([{"speaker": "Ann"}], "has no field 'text'"),
        ([{"speaker": "Ann", "text": 5}], "field 'text' must be str, got 5"),
        ([{"speaker": "Ann", "text": "a", "mood": "b"}], r"unknown fields \['mood'\]"),
        ([{"speaker": " ", "text": "a"}], "utterance 0: field 'speaker' is empty"),
        ("Ann: hi\nBen: a\0b", "line 2: field 'text' holds a null character at position 1"),
        ([Utterance("Ann", "a\ud800")], "field 'text' holds half of a surrogate pair at position 1"),
        (pd.DataFrame({"utterance": ["a"]}), "has no column 'text'"),
    ],
)
def test_what_is_no_dialogue_is_named(given, told):
    with pytest.raises(UserError, match=told):
        read_dialogues(given)
