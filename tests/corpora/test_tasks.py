"""One label an utterance or several: found where it is plain, and brought into one form."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.agreement import agreement_of
from eacl_jax.corpora.custom import read_custom
from eacl_jax.corpora.forms import read_record
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.task import shares, task_of
from eacl_jax.training.annotators import divergence

Toy = Callable[..., DataConfig]


def records(*labels: dict[str, Any]) -> list[dict[str, object]]:
    """A dialogue whose utterances have these fields."""
    spoken = [{"speaker": "Ann", "text": f"Line {n}."} | each for n, each in enumerate(labels)]
    return [{"id": "1", "utterances": spoken}]


def config(toy: Toy, *labels: dict[str, Any], **settings: Any) -> DataConfig:
    data = toy(**dict.fromkeys(("train", "dev", "test"), records(*labels)))
    for split, name in (("dev", "d"), ("test", "e")):  # else the three would be one dialogue
        path = Path(getattr(data, split))
        path.write_text(path.read_text().replace("Line", f"Line {name}"))
    return DataConfig(**{**vars(data), **settings})


def read(toy: Toy, *labels: dict[str, Any], **settings: Any) -> tuple[str, list[Utterance]]:
    corpus = corpora.load(config(toy, *labels, **settings))
    return corpus.task, list(corpus.splits["train"][0].utterances)


JOY, BOTH = {"emotions": ["joy"]}, {"emotions": [" joy", "fear"]}


@pytest.mark.parametrize(
    ("labels", "task", "found"),
    [
        ([{"emotion": "joy"}, {"emotion": "fear"}, {}], "single", ["joy", "fear", None]),
        ([JOY, {"emotions": ["fear"]}], "single", ["joy", "fear"]),
        ([JOY, BOTH, {"emotions": []}, {}], "multi", [("joy",), ("joy", "fear"), (), None]),
        (
            [{"annotations": [["joy"], ["fear"], ["joy"]]}, {"annotations": [["fear"]]}],
            "single",
            ["joy", "fear"],
        ),
        (
            [
                {"annotations": [["joy", "fear"], ["joy"], []]},
                {"annotations": [["fear"], [], []]},
                {"annotations": []},
            ],
            "multi",
            [("joy",), (), None],
        ),
    ],
)
def test_the_task_is_found_where_it_is_plain(
    toy: Toy, labels: list[dict[str, Any]], task: str, found: list[object]
) -> None:
    names = "emotion" if task == "single" else "emotions"
    read_task, utterances = read(toy, *labels, labels=("fear", "joy"))
    assert read_task == task
    assert [getattr(u, names) for u in utterances] == found
    other = "emotions" if task == "single" else "emotion"
    assert all(getattr(u, other) is None for u in utterances)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([{"emotion": "joy"}, BOTH], r"utterance 0\) and 'emotions' \(as .*utterance 1\): choose"),
        ([{"annotations": [["joy"], []]}, {}], r"utterance 0: an annotator gave none .*: choose"),
    ],
)
def test_where_it_is_not_plain_both_are_offered(
    toy: Toy, labels: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(UserError, match=message + r'.*"single".*"multi"'):
        read(toy, *labels, labels=("fear", "joy"))
    for task in ("single", "multi"):
        main = [{"emotion": "joy"}, BOTH | {"emotion": "fear"}]
        assert read(toy, *main, task=task)[0] == task


def test_the_main_label_is_the_one_that_most_annotators_name_first(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    labels = [
        {"annotations": [["joy", "fear"], ["joy"], ["fear"]]},
        {"annotations": [["joy"], ["fear"]]},
        {"annotations": [[], [], ["joy"]]},
        {"emotion": "fear", "annotations": [["joy"], ["joy"]]},
    ]
    with caplog.at_level(logging.WARNING):
        _, utterances = read(toy, *labels, task="single")
    assert [u.emotion for u in utterances] == ["joy", None, None, "fear"]
    assert utterances[1].annotations == (("joy",), ("fear",))
    assert sum("6 utterances have annotations" in r.message for r in caplog.records) == 1


def test_several_labels_without_a_main_one_are_not_one_label(toy: Toy) -> None:
    with pytest.raises(UserError, match=r"utterance 1 has 2 labels, .*config\.data\.task=multi"):
        read(toy, JOY, BOTH, task="single")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"emotions": ["joy", "joy "]}, r"field 'emotions' has the label 'joy' twice"),
        ({"emotions": "joy, fear"}, r"field 'emotions' must be a list of labels"),
        ({"emotions": ["joy", None]}, r"'emotions' must be a list of strings, but holds None"),
        ({"emotions": ["joy", " "]}, r"'emotions' holds an empty label"),
        ({"emotions": ["a\0"]}, r"a label in field 'emotions' holds a null character"),
        ({"Emotions": ["joy"]}, r"the field 'Emotions' must be named 'emotions'"),
        ({"annotations": ["joy", "fear"]}, r"'annotations' must be a list with a list"),
        ({"annotations": [["joy"], ["a", "a"]]}, r"annotator 2: field 'annotations' has .* twice"),
        ({"emotion": "joy", "annotations": []}, r"has labels, but 'annotations' is an empty list"),
        ({"emotion": "joy", "emotions": []}, r"'emotion' is 'joy', which is not among 'emotions'"),
        (
            {"emotion": "anger", "emotions": ["joy", "fear"]},
            r"'emotion' is 'anger', which is not among 'emotions', \['joy', 'fear'\]",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_placed(
    tmp_path: Path, toy: Toy, fields: dict[str, Any], message: str
) -> None:
    (record,) = records({"emotion": "joy"}, fields)
    with pytest.raises(UserError, match=rf"^here: dialogue '1' utterance 1: .*{message}"):
        read_record(record, "here")
    if "Emotions" in fields or fields.get("emotions") == "joy, fear":
        return  # of files these are other names of one label
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(record) + "\n")
    with pytest.raises(
        UserError, match=rf"own\.jsonl line 1: dialogue '1' utterance 1: .*{message}"
    ):
        read_custom(path, DataConfig())


def test_utterances_as_objects_have_the_same_fields(tmp_path: Path) -> None:
    rows = [
        {"dialogue": "1", "speaker": "Ann", "text": "A.", "emotions": ["joy", "fear"]},
        {"dialogue": "1", "speaker": "Bob", "text": "B.", "annotations": [["joy"], []]},
    ]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(rows))
    (item,) = read_custom(path, DataConfig(), "multi")
    assert item.dialogue.utterances == (
        Utterance("Ann", "A.", emotions=("joy", "fear")),
        Utterance("Bob", "B.", emotions=("joy",), annotations=(("joy",), ())),
    )
    assert not any(u.other for u in item.dialogue.utterances)


def test_groups_merge_labels_and_levels_do_not(toy: Toy) -> None:
    labels = [BOTH | {"annotations": [["joy"], ["joy", "fear"]]}, {"emotions": ["calm", "joy"]}]
    groups = ("calm=good", "joy=good", "fear=bad")
    corpus = corpora.load(config(toy, *labels, labels=("calm", "joy", "fear"), groups=groups))
    first, second = corpus.splits["train"][0].utterances
    assert (first.emotions, second.emotions) == (("good", "bad"), ("good",))
    assert first.annotations == (("good",), ("good", "bad"))
    rows = ("mood: good=joy,calm", "mood: bad = fear")
    corpus = corpora.load(config(toy, *labels, levels=rows))
    assert corpus.taxonomy.labels == ("calm", "fear", "joy")
    assert corpus.levels == {"mood": ("good", "bad", "good")}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["mood=joy"], r"levels\[0\]: expected 'LEVEL: GROUP=LABEL"),
        (["mood: good=joy,", "mood: bad=fear"], r"levels\[0\]: expected"),
        (["mood: good=joy", "mood: bad=anger"], r"levels\[1\]: there is no label 'anger'"),
        (
            ["mood: good=joy", "mood: bad=fear,joy"],
            r"\[1\]: the label 'joy' is in the group 'good'",
        ),
        (["mood: good=joy,joy"], r"levels\[0\]: the label 'joy' is there twice"),
        (["mood: good=joy", "mood: good=fear"], r"\[1\]: the level 'mood' has a row for .*'good'"),
        (["mood: good=joy"], r"the level 'mood' has no group for 'fear'"),
        (["mood: good=joy,fear"], r"the level 'mood' has one group"),
    ],
)
def test_levels_that_cannot_be_used_are_named(toy: Toy, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        corpora.load(config(toy, JOY, BOTH, levels=tuple(rows)))


def test_annotators_may_agree_on_the_group_alone(toy: Toy) -> None:
    voices = {"annotations": [["joy"], ["calm"], ["fear"]]}
    labels = [voices, {"annotations": [["fear"]]}]
    groups = ("calm=good", "joy=good", "fear=bad")
    names: dict[str, Any] = {"labels": ("calm", "joy", "fear"), "groups": groups}
    task, found = read(toy, *labels, **names)
    assert (task, found[0].emotion) == ("single", "good")
    task, found = read(toy, *labels, task="multi", **names)
    assert (task, found[0].emotions) == ("multi", ("good",))


def test_labels_are_grouped_before_anything_is_asked_of_them(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    groups = ("calm=good", "joy=good", "fear=bad")
    fear = {"annotations": [["fear"], ["fear"]]}
    # No two annotators agree on joy or calm anywhere.
    task, found = read(toy, {"annotations": [["joy"], ["calm"]]}, fear, groups=groups)
    assert (task, [u.emotion for u in found]) == ("single", ["good", "bad"])
    assert not caplog.text
    # With one label an utterance, two of one group are one.
    both = {"emotions": ["joy", "calm"]}
    _, found = read(toy, both, {"emotions": ["fear"]}, task="single", groups=groups)
    assert [u.emotion for u in found] == ["good", "bad"]
    with pytest.raises(UserError, match="has 2 labels"):
        read(toy, both, {"emotions": ["joy", "fear"]}, task="single", groups=groups)
    # A label that wins nowhere has its group; one that is nowhere has no row.
    _, found = read(toy, {"annotations": [["joy"], ["joy"], ["calm"]]}, fear, groups=groups)
    assert found[0].annotations == (("good",), ("good",), ("good",))
    with pytest.raises(UserError, match=r"groups\[3\]: there is no label 'awe'"):
        read(toy, both, fear, task="single", groups=(*groups, "awe=good"))


def test_annotators_who_agree_on_nothing_give_no_label(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    labels = [
        {"annotations": [["joy"], ["fear"], ["anger"]]},
        {"annotations": [[], [], ["joy"]]},
        {"annotations": [["joy", "fear"], ["joy", "anger"], ["fear", "anger"]]},
    ]
    _, found = read(toy, *labels, task="multi")
    assert [u.emotions for u in found[:2]] == [None, ()]
    assert set(found[2].emotions or ()) == {"joy", "fear", "anger"}
    assert "3 utterances have annotations, but no label" in caplog.text  # one in each split


def test_what_an_annotator_gave_alone_is_a_vote_and_has_no_share(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    labels = [
        {"annotations": [["joy"], ["joy", "envy"], ["joy"]]},
        {"annotations": [["fear"], ["fear"], ["envy"]]},
        {"annotations": [["fear"], ["envy"], ["pride"]]},
    ]
    corpus = corpora.load(config(toy, *labels, task="multi"))
    assert corpus.taxonomy.labels == ("fear", "joy")
    found = corpus.splits["train"][0].utterances
    assert [u.emotions for u in found] == [("joy",), ("fear",), None]
    assert [list(u.annotations or ()) for u in found] == [
        list(map(tuple, each["annotations"])) for each in labels
    ]
    assert "'envy' (9), 'pride' (3)" in caplog.text
    assert shares(task_of(corpus), corpus.splits["train"]) == pytest.approx(
        np.array([[0, 1], [2 / 3, 0]])
    )
    assert agreement_of(corpus.splits["train"], "multi")["annotators"] == [3, 3]


def test_with_one_label_a_tie_with_something_else_is_a_tie(toy: Toy) -> None:
    labels = [
        {"annotations": [["joy"], ["contempt"], ["disgust"]]},
        {"annotations": [["joy"], ["joy"], ["contempt"]]},
        {"emotion": "fear"},
    ]
    corpus = corpora.load(config(toy, *labels, task="single"))
    dialogues = corpus.splits["train"]
    assert [u.emotion for u in dialogues[0].utterances] == [None, "joy", "fear"]
    # Shares are of labels: what the third gave is none.
    assert shares(task_of(corpus), dialogues).tolist() == [[0, 1], [1, 0]]
    # Of the labels' groups, too.
    groups = ("joy=good", "fear=bad")
    _, found = read(toy, *labels, task="single", groups=groups)
    assert [u.emotion for u in found] == [None, "good", "bad"]
    more = [{"annotations": [["joy"], ["fear"], ["envy"], ["envy"], ["pride"]]}]
    with pytest.raises(UserError, match=r"'envy' is not among .*a row in config.data.groups"):
        read(toy, *labels, *more, task="single", groups=groups)


def test_spellings_of_annotators_are_reported(toy: Toy) -> None:
    labels = [{"annotations": [["joy"], ["joy"], ["Joy"]]}, {"annotations": [["fear"]]}]
    with pytest.raises(UserError, match=r"one label in 2 spellings: 'Joy' .*, 'joy'"):
        read(toy, *labels)


def test_labels_that_no_annotator_gave_are_counted(toy: Toy, caplog) -> None:
    labels = [{"emotion": "joy", "annotations": [["fear"], ["fear"]]}, {"emotion": "fear"}]
    read(toy, *labels)
    assert "3 utterances have a label that none of their annotators gave" in caplog.text


def test_one_label_beside_annotators_who_gave_several_is_not_plain(toy: Toy) -> None:
    labels = [{"emotions": ["joy"], "annotations": [["joy", "fear"], ["joy"]]}]
    with pytest.raises(UserError, match=r"an annotator gave several labels.*choose config.data"):
        read(toy, *labels)


def test_none_of_the_labels_where_one_is_asked_for_is_counted(
    toy: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    labels = (JOY, {"emotions": []}, {"emotions": ["fear"]})
    with caplog.at_level(logging.WARNING):
        task, utterances = read(toy, *labels, task="single")
    assert (task, [u.emotion for u in utterances]) == ("single", ["joy", None, "fear"])
    assert "3 utterances are annotated with none of the labels" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        read(toy, *labels, task="multi")
    assert "none of the labels" not in caplog.text


def test_words_are_of_labels_that_are_listed(toy: Toy) -> None:
    """Labels that are found are in another order than their words may be."""
    fields = ({"emotion": "joy"}, {"emotion": "anger"})
    with pytest.raises(UserError, match=r"config\.data\.words are those of config\.data\.labels"):
        read(toy, *fields, words=("joyful", "angry"))
    data = config(toy, *fields, words=("joyful", "angry"), labels=("joy", "anger"))
    assert corpora.load(data).taxonomy.words == ("joyful", "angry")


@pytest.mark.parametrize("annotators", [10, 11, 14, 26, 59])
def test_a_label_that_all_gave_has_a_share_of_one(toy: Toy, annotators: int) -> None:
    labels = [{"annotations": [["joy"]] * annotators}, {"annotations": [["fear"]] * annotators}]
    corpus = corpora.load(config(toy, *labels, task="multi"))
    found = shares(task_of(corpus), corpus.splits["train"])
    assert found.tolist() == [[0, 1], [1, 0]]
    assert divergence(found, np.zeros((2, 2)), several=True) == pytest.approx(2 * np.log(2))
