"""What people give as a dialogue or as labels, and what they read where it is none."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.data.inputs import read_dialogues, read_labels
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from tests.stubs.bulk import items, lines_of

ANN, BEN = Utterance("Ann", "I got it!"), Utterance("Ben", "The flat?")
BOTH = (ANN, BEN)
TWO = [Dialogue("1", (ANN,)), Dialogue("2", (BEN,))]


@pytest.mark.parametrize(
    "given",
    [
        "Ann: I got it!\n\nBen: The flat?\n",
        [("Ann", "I got it!"), ("Ben", "The flat?")],
        [["Ann", "I got it!"], ["Ben", "The flat?"]],
        [{"speaker": "Ann", "text": "I got it!"}, {"speaker": "Ben ", "text": "The flat?"}],
        [ANN, ("Ben", "The flat?")],
        {"utterances": [{"speaker": "Ann", "text": "I got it!"}, "Ben: The flat?"]},
        {"id": 1, "utterances": [["Ann", "I got it!"], BEN]},
        {"id": "1", "transcript": "Ann: I got it!\nBen: The flat?"},
        Dialogue("1", BOTH),
    ],
)
def test_every_form_of_one_dialogue(given):
    assert read_dialogues(given) == ([Dialogue("1", BOTH)], True)


SPACED = [(" Ann", "I got it! "), ("Ann\t", "\n"), ("Ben ", "  The flat?\n")]


@pytest.mark.parametrize(
    "given",
    [
        SPACED,
        [Utterance(*pair) for pair in SPACED],
        Dialogue("1", tuple(Utterance(*pair) for pair in SPACED)),
        [{"speaker": speaker, "text": text} for speaker, text in SPACED],
        {"id": "1", "utterances": SPACED},
        pd.DataFrame([("1", *pair) for pair in SPACED], columns=["dialogue", "speaker", "text"]),
    ],
)
def test_blanks_around_speakers_and_texts_go_in_every_form(given, tmp_path):
    pd.DataFrame([("1", *pair) for pair in SPACED], columns=["dialogue", "speaker", "text"]).to_csv(
        tmp_path / "a.csv", index=False
    )
    with open(tmp_path / "a.csv", "rb") as file:
        (row,) = items("csv", lines_of(file, "a.csv"))
    (found,), _ = read_dialogues(given)
    (written,) = read_file(tmp_path / "a.csv", annotated=False)
    assert found == row.dialogue == written.dialogue
    assert found.utterances == (ANN, Utterance("Ann", ""), BEN)


@pytest.mark.parametrize("field", ["speaker", "text"])
def test_what_is_no_text_in_an_object_is_named(field):
    wrong = Dialogue("x", (ANN, dataclasses.replace(BEN, **{field: None})))
    message = f"dialogue 'x' utterance 1: field '{field}' must be a string, got None"
    with pytest.raises(UserError, match=message):
        read_dialogues(wrong)


@pytest.mark.parametrize(
    "given",
    [
        ["Ann: I got it!", "Ben: The flat?"],
        pd.Series(["Ann: I got it!", "Ben: The flat?"]),
        np.array(["Ann: I got it!", "Ben: The flat?"]),
        (line for line in ("Ann: I got it!", "Ben: The flat?")),
        [[("Ann", "I got it!")], [("Ben", "The flat?")]],
        [{"utterances": ["Ann: I got it!"]}, Dialogue("2", (BEN,))],
        [{"transcript": "Ann: I got it!"}, [BEN]],
        pd.DataFrame(
            {"dialogue": [1, 2], "speaker": ["Ann", "Ben"], "text": ["I got it!", "The flat?"]}
        ),
        pd.DataFrame(
            {"dialogue": [1.0, 2.0], "speaker": ["Ann", "Ben"], "text": ["I got it!", "The flat?"]}
        ),
    ],
)
def test_every_form_of_two_dialogues(given):
    assert read_dialogues(given) == (TWO, False)


def test_what_a_list_means_does_not_depend_on_what_it_holds():
    for chats in (["one", "two"], ["one", "two\nthree"], ["one"], ["one", ""]):
        dialogues, single = read_dialogues(chats)
        assert (len(dialogues), single) == (len(chats), False)
    assert read_dialogues([]) == ([], False)
    assert read_dialogues([Dialogue("1", BOTH)]) == ([Dialogue("1", BOTH)], False)


def test_a_frame_s_rows_need_not_be_neighbours_and_text_is_text():
    frame = pd.DataFrame(
        {
            "dialogue": ["x", "nan", "x"],
            "speaker": ["Ann", "nan", None],
            "text": ["a", "nan", "<NA>"],
            "emotion": ["joy", None, None],
            "turn": [7, 8, 9],
        }
    )
    dialogues, single = read_dialogues(frame)
    assert not single
    assert dialogues == [
        Dialogue("x", (Utterance("Ann", "a", "joy"), Utterance(NOBODY, "<NA>"))),
        Dialogue("nan", (Utterance("nan", "nan"),)),
    ]
    assert dialogues[0].utterances[1].other == {"turn": 9}
    with pytest.raises(
        UserError,
        match=r"row 2: dialogue 'x' comes back after others \(as 1 of 2 dialogues do\), and no column"
        r" numbers its rows\. .* an id of its own; .*frame\.sort_values\('dialogue', kind='stable'\)",
    ):
        read_dialogues(frame.rename(columns={"turn": "ticket"}))


@pytest.mark.parametrize(("name", "texts"), [("turn", "aab"), ("utt_id", "aab"), ("turn", "baa")])
def test_a_row_an_annotator_is_no_utterance(name, texts):
    numbers = [texts.index(text) for text in texts]
    frame = pd.DataFrame({"dialogue": 1, "text": list(texts), name: numbers})
    row = 1 + texts.index("a")
    with pytest.raises(UserError, match=rf"row {row}: number .* row before \(the DataFrame's row"):
        read_dialogues(frame)
    assert len(read_dialogues(frame.assign(text=list("abc")))[0][0].utterances) == 3


def test_numbers_that_are_not_whole_must_not_go_back():
    frame = pd.DataFrame({"dialogue": 1, "text": ["a", "b"], "turn": [1.2, 1.1]})
    with pytest.raises(UserError, match=r"row 1: column 'turn' is 1\.1 after 1\.2; such numbers"):
        read_dialogues(frame)
    assert read_dialogues(frame.iloc[::-1])[0]


def test_a_whole_call_in_a_cell_is_no_utterance():
    frame = pd.DataFrame({"dialogue": [7], "transcript": ["Ann: I got it!\nBen: The flat?"]})
    with pytest.raises(
        UserError,
        match=r"row 0: the cell of column 'transcript' holds 2 lines .* give frame\['transcript'\],",
    ):
        read_dialogues(frame)
    assert read_dialogues(frame["transcript"]) == ([Dialogue("1", BOTH)], False)
    text = frame.rename(columns={"transcript": "text"})
    assert len(read_dialogues(text)[0][0].utterances) == 1


def test_other_fields_are_carried_and_those_of_an_answer_left_out():
    given = {
        "id": "1",
        "topic": "home",
        "utterances": [{"speaker": 3, "text": "a", "emotion": " ", "at": 5, "confidence": 0.4}],
    }
    (dialogue,), _ = read_dialogues(given)
    assert dialogue == Dialogue("1", (Utterance("3", "a"),))
    assert dialogue.other == {"topic": "home"}
    assert dialogue.utterances[0].other == {"at": 5}
    assert Dialogue.from_json(dialogue.to_json()) == dialogue
    assert Dialogue.from_json(dialogue.to_json()).utterances[0].other == {"at": 5}


@pytest.mark.parametrize("field", ["at", "time", "index", "id", "turn_id", "annotator"])
def test_whole_numbers_that_no_float_holds_are_carried(field):
    given = [{"speaker": 10**400, "text": text, field: 10**400} for text in "abc"]
    (dialogue,), _ = read_dialogues({"id": 10**400, "utterances": given})
    assert (dialogue.id, dialogue.utterances[0].speaker) == (f"{10**400}", f"{10**400}")
    assert [each.other for each in dialogue.utterances] == [{field: 10**400}] * 3
    assert Dialogue.from_json(dialogue.to_json()) == dialogue


def test_empty_speakers_are_nobodys():
    frame = pd.DataFrame({"dialogue": ["1"] * 3, "text": list("abc"), "speaker": ["", None, "Ann"]})
    ((dialogue,), _), ((null,), _) = map(read_dialogues, (frame, [{"speaker": None, "text": "a"}]))
    assert [u.speaker for u in dialogue.utterances] == ["Speaker", "Speaker", "Ann"]
    assert null.utterances == (Utterance("Speaker", "a"),)


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, ""])
def test_a_cell_without_a_text_is_an_empty_text(missing):
    frame = pd.DataFrame({"dialogue": ["1"] * 3, "speaker": "Ann", "text": ["a", missing, "c"]})
    (dialogue,), _ = read_dialogues(frame)
    assert [u.text for u in dialogue.utterances] == ["a", "", "c"]


def test_columns_of_a_frame_may_have_their_usual_other_names():
    frame = pd.DataFrame({"Conversation ID": [7], "Author": ["Ann"], "Message": ["a"], "n": [3]})
    (dialogue,), _ = read_dialogues(frame)
    assert dialogue == Dialogue("7", (Utterance("Ann", "a"),))
    assert dialogue.utterances[0].other == {"n": 3}


@pytest.mark.parametrize(
    ("task", "columns"),
    [
        ("single", {"label": ["joy", None, "fear"]}),
        ("single", {"Emotion": ["joy", "", "fear"], "label_count": [1, 2, 3]}),
        ("single", {"emotions": ["joy", "awe", "fear"]}),
        ("single", {"label": [1, 2, 3]}),
        ("multi", {"labels": ["joy|awe", None, "fear"]}),
        ("multi", {"joy": [1, 0, 1], "fear": [0, 0, 1]}),
        ("multi", {"emotions": [["joy", "awe"], [], ["fear"]]}),
    ],
)
def test_labels_of_a_frame_are_those_of_the_file_of_it(task, columns, tmp_path):
    frame = pd.DataFrame({"dialogue": ["1"] * 3, "speaker": "Ann", "text": list("abc"), **columns})
    frame.to_csv(tmp_path / "frame.csv", index=False)
    forms = LabelForms("multi" if task == "multi" else "")
    (found,) = read_file(tmp_path / "frame.csv", forms=forms)
    assert read_dialogues(frame, task)[0] == [found.dialogue]
    read_dialogues(frame)  # whoever asks for answers gives none


@pytest.mark.parametrize(
    ("task", "columns", "match"),
    [
        ("single", {"emotion": ["joy", None], "label": ["fear", "joy"]}, "'emotion', 'label'"),
        ("single", {"emotion": ["joy", None], "emotions": ["fear", "joy"]}, "'emotions', whose"),
        ("single", {"category": ["joy", None], "choice": ["fear", "joy"]}, "'category', 'choice'"),
        ("single", {"joy": [1, 0], "fear": [0, 1], "awe": [0, 2]}, "'awe' holds"),
        ("multi", {"emotion": ["joy", None], "joy": [1, 0], "fear": [0, 1]}, "like labels: 'joy'"),
        ("multi", {"label": ["joy|awe", "joy;awe"]}, "several signs could divide the labels"),
    ],
)
def test_labels_of_a_frame_are_refused_as_those_of_the_file_of_it(task, columns, match, tmp_path):
    frame = pd.DataFrame({"dialogue": ["1"] * 2, "speaker": "Ann", "text": list("ab"), **columns})
    frame.to_csv(tmp_path / "frame.csv", index=False)
    forms = LabelForms("multi" if task == "multi" else "")
    for read in (
        lambda: read_file(tmp_path / "frame.csv", forms=forms),
        lambda: read_dialogues(frame, task),
    ):
        with pytest.raises(UserError, match=match):
            read()


def test_numbers_that_stand_for_ids_are_no_other_dialogues():
    given = [{"id": 2, "transcript": "a"}, "b", {"id": "4", "transcript": "c"}, "d"]
    assert [each.id for each in read_dialogues(given)[0]] == ["2", "5", "4", "6"]
    window = Dialogue("1", (Utterance("Ann", "a"),))
    assert [each.id for each in read_dialogues([window, window])[0]] == ["1", "1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            [{"id": 1, "transcript": "a"}, "b", {"id": "1", "transcript": "c"}],
            "dialogues number 1 and 3 have one id, '1': give each an id of its own, or none",
        ),
        (7, "got of type int"),
        (ANN, "got of type Utterance"),
        (b"Ann: hi", "got of type bytes"),
        (
            {"speaker": "Ann", "text": "hi"},
            "this is an utterance, and a dialogue is a list of them",
        ),
        (("Ann", "hi"), "a tuple of strings may be an utterance"),
        ([7], "dialogue number 1 must be a transcript"),
        (["a", None], "dialogue number 2 must be .* got missing"),
        (pd.Series(["a", np.nan]), "dialogue number 2 must be .* got missing"),
        ([ANN, "Ben: hi"], "item 1 of the list is an utterance, but item 2 is a string"),
        (
            [["Ann: a", "Ben: b", "Ann: c"]],
            "dialogue number 1 is a list, so its items must be utterances.* item 0 is a string",
        ),
        ([["Ann: a"]], "join a transcript's lines into one string"),
        (
            [["Ann: a", "Ben: b"], ["Cy: c", "Dee: d"]],
            "may be .speaker, text. or two lines of a transcript.*give a tuple",
        ),
        (
            [["I had such a day", "And then it rained"]],
            "'I had such a day' does not look like a name",
        ),
        ({"Ann: a", "Ben: b"}, "got of type set"),
        (
            {"utterances": [["Ann: a", "Ben: b"]]},
            "utterance 0: .* 'Ann: a' is a line of a transcript",
        ),
        (
            pd.DataFrame({"dialogue": [1, 2, 1], "text": ["b", "c", "a"], "turn": [2, 1, 1]}),
            (
                r"row 2: 'turn' is 1 after 2 in dialogue '1'; sort the rows:"
                r" frame.sort_values\(\['dialogue', 'turn'\]\)"
            ),
        ),
        (
            [{"speaker": "Ann", "transcript": "a"}],
            "dialogue number 1: it has a 'speaker' and a 'transcript'",
        ),
        (
            pd.DataFrame({"dialogue": ["1", " ", ""], "text": ["a", "b", "c"]}),
            r"rows 1, 2 \(from 0\) have no 'dialogue'",
        ),
        (
            pd.DataFrame({"dialogue": [1.5], "text": ["a"]}),
            "row 0: field 'dialogue' must be a string or a whole number",
        ),
        ([[("a", "b"), 3]], "item 1 is of type int"),
        ({"utterances": "Ann: hi"}, "must have a list of 'utterances', got str"),
        (
            {"utterance": []},
            r"has no field 'utterances' and no 'transcript' \(it has \['utterance'\]\)",
        ),
        ({"Utterances": []}, "the field 'Utterances' must be named 'utterances'"),
        (
            {"id": "1", "transcript": "a", "utterances": []},
            "has both 'utterances' and 'transcript'",
        ),
        ({"id": 1.5, "utterances": []}, "field 'id' must be a string or a whole number, got 1.5"),
        ({"id": True, "utterances": []}, "field 'id' must be a string or a whole number, got True"),
        ({"id": "\ud83d", "utterances": []}, "field 'id' holds half of a surrogate pair"),
        (
            [{"speaker": "Ann"}],
            r"utterance 0: an utterance has no field 'text'; it has \['speaker'\]",
        ),
        (
            [{"speaker": "Ann", "utterance": "hi"}],
            "has no field 'text', but 'utterance'; name it 'text'",
        ),
        ([{"name": "Ann", "text": "hi"}], "has no field 'speaker', but 'name'; name it 'speaker'"),
        ([{"Speaker": "Ann", "text": "hi"}], "the field 'Speaker' must be named 'speaker'"),
        ([{"speaker": "Ann", "text": 5}], "field 'text' must be a string, got 5"),
        ([{"speaker": [], "text": "a"}], r"field 'speaker' must be a string, got \[\]"),
        ([{"speaker": " ", "text": "a"}], "utterance 0: field 'speaker' is empty"),
        ([{"speaker": "Ann", "text": "a", "emotion": 0.5}], "the emotion must be a string"),
        ([{"speaker_id": "Ann", "text": "hi"}], "but 'speaker_id'; name it 'speaker'"),
        ([{"role": "user", "text": "hi"}], "no field 'speaker', but 'role'; name it 'speaker'"),
        ({"dialogue_id": "7", "utterances": []}, "no field 'id', but 'dialogue_id'; name it 'id'"),
        ({"id": "2.15E+17", "utterances": []}, "'2.15E.17', as spreadsheets write numbers of many"),
        ({"id": 1e17, "utterances": []}, "so many digits that the last ones are lost"),
        (
            [{"speaker": "Ann", "text": "a", "mood": "\ud800"}],
            r"its other fields \(mood\) hold what is no text",
        ),
        (
            [Utterance("Ann", "a\ud800")],
            "field 'text' holds half of a surrogate pair at position 1",
        ),
        (pd.DataFrame({"words": ["a"]}), "has no column 'text'"),
        (
            pd.DataFrame({"dialogue": ["1"], "message": ["a"], "body": ["b"]}),
            "more than one column for the text: 'message', 'body'; rename the one that is meant",
        ),
        (
            pd.DataFrame({"text": ["a", "b"]}),
            r"no column 'dialogue'.*range\(len\(frame\)\) where each row stands alone",
        ),
        (
            pd.DataFrame({"dialogue": ["1", None, "2", None], "text": ["a", "b", "c", "d"]}),
            r"rows 1, 3 \(from 0\).*ffill",
        ),
        (
            pd.DataFrame([["1", "a", "b"]], columns=["dialogue", "text", "text"]),
            "more than one column 'text'",
        ),
    ],
)
def test_what_is_no_dialogue_is_named(given, message):
    with pytest.raises(UserError, match=message):
        read_dialogues(given)


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("Ann: hi\nno name\nnobody's\nSpeaker: hi", 2),
        (["Ann: hi\nno name", "one alone", {"transcript": "no name\nnor here"}], 3),
        ([{"speaker": "Ann", "text": "hi"}, {"text": "so"}], 1),
        ({"utterances": ["Ann: hi", "no name", ("Speaker", "so"), Utterance(NOBODY, "so")]}, 1),
        (pd.DataFrame({"dialogue": [1, 1], "speaker": ["Ann", ""], "text": ["a", "b"]}), 1),
        (pd.DataFrame({"dialogue": [1, 1], "text": ["a", "b"]}), 0),
        (["one alone", "and another"], 0),
    ],
)
def test_utterances_that_name_no_speaker_are_counted_once(given, number, caplog):
    read_dialogues(given)
    names = "utterance names" if number == 1 else "utterances name"
    said = [each for each in caplog.messages if "no speaker" in each]
    assert len(said) == bool(number)
    assert all(f": {number} {names} no speaker" in each for each in said)


def test_the_name_of_a_file_is_no_transcript(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_dialogues("chats.txt")[0][0].utterances == (Utterance(NOBODY, "chats.txt"),)
    (tmp_path / "chats.txt").write_text("Ann: hi")
    with pytest.raises(
        UserError,
        match=r"'chats\.txt' is the name of a file, and a string is a dialogue's transcript",
    ):
        read_dialogues("chats.txt")


@pytest.mark.parametrize(
    "given",
    [
        {"thanks": "grateful", "anger": "anger"},
        ["thanks=grateful", "anger"],
        ["thanks: grateful", "anger"],
        "thanks=grateful, anger",
        "thanks: grateful\nanger\n",
        pd.Series({"thanks": "grateful", "anger": "anger"}),
        pd.Series(["thanks=grateful", "anger"], index=[3, 5]),
    ],
)
def test_every_form_of_labels(given):
    assert read_labels(given) == {"thanks": "grateful", "anger": "anger"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["joy", "joy"], "labels repeat: 'joy'"),
        ("joy=, anger", "is neither LABEL=WORD nor LABEL"),
        (["joy", ""], "is neither LABEL=WORD nor LABEL"),
        (["joy", 3], "must be text"),
        ({"joy": None}, "must be text"),
        ({"joy": "a\0"}, "label 'joy' holds a null character"),
        (3, "labels must be a mapping"),
        (pd.DataFrame({"label": ["joy"], "word": ["glad"]}), "got a DataFrame; give dict"),
        ("'joy,anger'", '"\'joy" begins with a quote or bracket'),
        ('{"joy": "glad", "anger": "cross"}', "begins with a quote or bracket"),
        ('["joy", "anger"]', "begins with a quote or bracket"),
        (['joy="glad"', "anger"], "begins with a quote or bracket"),
    ],
)
def test_labels_that_cannot_be(given, message):
    with pytest.raises(UserError, match=message):
        read_labels(given)


def test_labels_of_several_kinds_are_read_and_not_carried_through():
    fields = {"emotion": "joy", "emotions": ["joy", " awe"], "annotations": [["joy"], []]}
    row = {"dialogue": "1", "speaker": "Ann", "text": "You came!", **fields, "note": "x"}
    for given in (
        [{name: value for name, value in row.items() if name != "dialogue"}],
        pd.DataFrame([row, {"dialogue": "2", "text": "Hm."}])[:1],
    ):
        ((dialogue,), _) = read_dialogues(given)
        (utterance,) = dialogue.utterances
        assert utterance == Utterance("Ann", "You came!", "joy", ("joy", "awe"), (("joy",), ()))
        assert utterance.other == {"note": "x"}


@pytest.mark.parametrize(
    ("utterance", "message"),
    [
        (Utterance("Ann", "Hm.", "fear", ("joy",)), "'emotion' is 'fear', which is not among"),
        (Utterance("Ann", "Hm.", None, ("joy", "joy")), "field 'emotions' has a label twice"),
        (Utterance("Ann", "Hm.", "joy", None, ()), "'annotations' is an empty list"),
    ],
)
def test_utterances_whose_labels_contradict_each_other(utterance, message):
    for given in ([utterance], Dialogue("1", (utterance,))):
        with pytest.raises(UserError, match=f"utterance 0: .*{message}"):
            read_dialogues(given)


def test_a_frame_of_a_row_an_annotator_is_refused_as_its_file_is():
    frame = pd.DataFrame(
        {
            "dialogue": ["a"] * 4,
            "text": ["Hello.", "Hello.", "Oh.", "Oh."],
            "annotator": ["x", "y", "x", "y"],
            "emotion": ["joy", "anger", "joy", "joy"],
        }
    )
    with pytest.raises(UserError, match=r"the DataFrame's row 1: .* another 'annotator'"):
        read_dialogues(frame, "single")
    read_dialogues(frame.drop(columns="annotator"), "single")
