"""Several labels in tables: a separator, 0/1 columns, a column an annotator."""

import json
from pathlib import Path
from typing import Any

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.custom import read_custom
from eacl_jax.corpora.label_columns import LabelForms, read_flags
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

HEADER = "dialogue,speaker,text"


def table(folder: Path, *rows: str, name: str = "own.csv") -> Path:
    header, *body = rows
    path = folder / name
    lines = [f"{HEADER},{header}", *(f"1,Ann,Line {n}.,{row}" for n, row in enumerate(body))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(path: Path, **settings: Any) -> tuple[Utterance, ...]:
    (item,) = read_custom(path, DataConfig(**settings))
    return item.dialogue.utterances


@pytest.mark.parametrize(
    ("cells", "settings"),
    [
        (["joy;fear", "joy", "", "fear ; "], {"task": "multi"}),
        (["joy| fear", "joy", "", "fear"], {"task": "multi"}),
        (['"joy, fear"', "joy", "", "fear"], {"task": "multi"}),
        (["joy;fear", "joy", "", "fear"], {"label_separator": ";"}),
        (["joy#fear", "joy", "", "fear"], {"label_separator": "#"}),
    ],
)
def test_labels_with_a_separator(
    tmp_path: Path, cells: list[str], settings: dict[str, Any]
) -> None:
    found = read(table(tmp_path, "emotion", *cells), **settings)
    assert [u.emotions for u in found] == [("joy", "fear"), ("joy",), None, ("fear",)]
    assert all(u.emotion is None and not u.other for u in found)


@pytest.mark.parametrize("cells", [("\"['joy', 'fear']\"", "[]"), ('"[""joy"",""fear""]"', "[]")])
def test_lists_as_text(tmp_path: Path, cells: tuple[str, ...]) -> None:
    """As pandas and JSON write them into a table."""
    found = read(table(tmp_path, "emotions", *cells), task="multi")
    assert [u.emotions for u in found] == [("joy", "fear"), ()]
    with pytest.raises(UserError, match=r"has 2 labels.*task=multi"):
        read(table(tmp_path, "emotion", *cells))
    (found,) = read(table(tmp_path, "emotion", "\"['joy']\""))
    assert found.emotion == "joy"
    (found,) = read(table(tmp_path, "annotations", "\"[['joy'], ['joy', 'fear'], []]\""))
    assert found.annotations == (("joy",), ("joy", "fear"), ())
    (found,) = read(table(tmp_path, "emotion", "[angry]"))
    assert found.emotion == "[angry]"


@pytest.mark.parametrize("cell", ["joy;[]", ";", '"[""joy"", ""[]""]"'])
def test_what_holds_no_label_is_reported(tmp_path: Path, cell: str) -> None:
    with pytest.raises(UserError, match=r"line 3.*(which are no labels|for none of the labels)"):
        read(table(tmp_path, "emotion", "joy;fear", cell), task="multi")


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("joy,fear,anger", ("1,0,0", "0,0,1", "0,1,"), "line 4: column 'anger' holds ''"),
        ("joy,fear,anger", ("1,0,0", "0,0,1", "0,1,yes"), "line 4: column 'anger' holds 'yes'"),
        ("joy,fear,joy", ("1,0,0", "0,1,0"), "more than one column of 0 and 1 called 'joy'"),
    ],
)
def test_no_label_is_lost(tmp_path: Path, header: str, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(table(tmp_path, header, *rows))


def test_a_whole_number_that_no_float_holds_is_no_flag(tmp_path: Path) -> None:
    rows = [
        {"dialogue": "1", "speaker": "Ann", "text": "a", "joy": 1, "fear": 0, "anger": 0},
        {"dialogue": "1", "speaker": "Ben", "text": "b", "joy": 0, "fear": 1, "anger": 10**400},
    ]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(UserError, match=r"column 'anger' holds 1000.*expected 0 or 1"):
        read(tmp_path / "own.jsonl")


def test_true_and_false_are_1_and_0(tmp_path: Path) -> None:
    found = read(table(tmp_path, "joy,fear,anger", "1,0,False", "0,1,TRUE"))
    assert [u.emotions for u in found] == [("joy",), ("fear", "anger")]


def test_columns_beside_annotators_must_be_named(tmp_path: Path) -> None:
    path = table(tmp_path, "joy,fear,late,first", "1,0,1,fear", "0,1,0,joy")
    with pytest.raises(UserError, match=r"called like labels: 'joy', 'fear'. Name all columns"):
        read(path, annotator_columns=("first",), task="multi")
    named = {"annotator_columns": ("first",), "label_columns": ("joy", "fear")}
    found = read(path, task="multi", **named)
    assert [(u.emotions, u.annotations) for u in found] == [
        (("joy",), (("fear",),)),
        (("fear",), (("joy",),)),
    ]


def nested(folder: Path, *utterances: dict[str, Any]) -> Path:
    path = folder / "own.json"
    given = [{"speaker": "Ann", "text": f"Line {n}."} | each for n, each in enumerate(utterances)]
    path.write_text(json.dumps([{"id": "1", "utterances": given}]), encoding="utf-8")
    return path


def test_fields_of_nested_utterances_are_read_as_columns_are(tmp_path: Path) -> None:
    path = nested(
        tmp_path,
        {"joy": 1, "fear": 1, "first": "joy;fear", "second": "joy", "note": "a"},
        {"joy": 0, "fear": 0, "first": "fear"},
        {},
    )
    both = {"label_columns": ("joy", "fear"), "annotator_columns": ("first", "second")}
    found = read(path, task="multi", **both)
    assert [(u.emotions, u.annotations, dict(u.other)) for u in found] == [
        (("joy", "fear"), (("joy", "fear"), ("joy",)), {"note": "a"}),
        ((), (("fear",),), {}),
        (None, None, {}),
    ]
    # Lists of utterances are dialogues, too.
    (dialogue,) = json.loads(path.read_text())
    path.write_text(json.dumps([dialogue["utterances"]]))
    assert [u.emotions for u in read(path, **both)] == [("joy", "fear"), (), None]
    for names in ({"label_columns": ("joy", "awe")}, {"annotator_columns": ("awe",)}):
        with pytest.raises(
            UserError,
            match=rf"own\.json has no field 'awe', which config\.data\.{next(iter(names))}",
        ):
            read(path, **names)
    path.write_text(json.dumps([{"id": "1", "transcript": "Ann: Hi."}]))
    with pytest.raises(UserError, match=r"no field 'joy', .* its fields are none"):
        read(path, **both)


def test_several_labels_in_parallel_lists(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    lists = {"utterances": ["Hi.", "Yo.", "So."], "speakers": ["Ann", "Ben", "Ann"]}
    for emotions in ([["joy", "fear"], [], None], ["joy;fear", "[]", ""]):
        path.write_text(json.dumps([lists | {"emotions": emotions}]), encoding="utf-8")
        found = read(path, task="multi", label_separator=";")
        assert [u.emotions for u in found] == [("joy", "fear"), (), None]
    daily = {"act": [1, 2, 1], "emotion": [4, 0, "no emotion"]}
    path.write_text(json.dumps([lists | daily]), encoding="utf-8")
    assert [(u.speaker, u.emotion) for u in read(path)] == [
        ("Ann", "happiness"),
        ("Ben", "neutral"),
        ("Ann", "neutral"),
    ]


def test_labels_of_nested_utterances_must_not_contradict_each_other(tmp_path: Path) -> None:
    names = {"label_columns": ("joy", "fear"), "task": "multi"}
    for field, value in (("emotion", "fear"), ("label", "fear"), ("emotions", ["fear"])):
        path = nested(tmp_path, {field: value, "joy": 1, "fear": 0})
        with pytest.raises(UserError, match="utterance 0"):
            read(path, **names)
        (found,) = read(nested(tmp_path, {field: value, "joy": 0, "fear": 1}), **names)
        assert found.emotions == ("fear",)
    path = table(tmp_path, "emotions,joy,fear", '"[""fear""]",1,0')
    with pytest.raises(UserError, match="line 2"):
        read(path, **names)


@pytest.mark.parametrize("field", ["emotion", "label"])
def test_what_divides_labels_of_nested_utterances(tmp_path: Path, field: str) -> None:
    cells = ["joy#fear", ["joy", "fear"], "joy", "", "[]", []]
    path = nested(tmp_path, *({field: cell} for cell in cells))
    found = read(path, task="multi", label_separator="#")
    assert [u.emotions for u in found] == [("joy", "fear")] * 2 + [("joy",), None, (), ()]
    path = nested(tmp_path, {"emotion": "joy", "emotions": ["joy", "fear"]})
    assert read(path, task="multi", label_separator="#")[0].emotions == ("joy", "fear")


@pytest.mark.parametrize(
    "settings",
    [{"label_columns": ("joy",)}, {"annotator_columns": ("first",)}, {"label_separator": "#"}],
)
def test_names_are_refused_in_files_of_known_form(tmp_path: Path, settings: dict[str, Any]) -> None:
    scene = {"speakers": ["Ann Lee"], "transcript": "Hi.", "emotion": "Joyful"}
    daily = {"text": "Hi.", "act": "inform", "emotion": "no_emotion"}
    empathetic = {
        **{"conv_id": "a", "utterance_idx": 1, "context": "sad", "prompt": "x"},
        **{"speaker_idx": 1, "utterance": "Hi."},
    }
    known = {
        "EmoryNLP": {"episodes": [{"scenes": [{"scene_id": "1", "utterances": [scene]}]}]},
        "DailyDialog, lists": [{"dialog": ["Hi."], "act": [1], "emotion": [0]}],
        "DailyDialog, objects": [{"dialogue": [daily]}],
        "EmpatheticDialogues": [empathetic],
    }
    for utterance in (scene, daily, empathetic):
        utterance |= {"joy": 1, "first": "joy"}
    path = tmp_path / "own.json"
    for name, content in known.items():
        path.write_text(json.dumps(content))
        read(path)
        told = (
            rf"form of {name.partition(',')[0]}, .*leave out config\.data\.{next(iter(settings))}"
        )
        with pytest.raises(UserError, match=told):
            read(path, **settings)
    path = tmp_path / "own.csv"
    path.write_text("conv_id,utterance_idx,context,prompt,speaker_idx,utterance\na,1,sad,x,1,Hi.\n")
    with pytest.raises(UserError, match=r"EmpatheticDialogues, .*leave out config\.data\."):
        read(path, **settings)


@pytest.mark.parametrize("header", ["emotion,joy,fear", "emotion,Joy,Fear"])
def test_columns_beside_an_emotion_of_several_must_be_named(tmp_path: Path, header: str) -> None:
    path = table(tmp_path, header, "joy,1,0", ",0,1", "fear,0,1")
    with pytest.raises(
        UserError, match=r"labels in 'emotion', and .* '[Jj]oy', '[Ff]ear'. Name all"
    ):
        read(path, task="multi")
    assert [u.emotion for u in read(path)] == ["joy", None, "fear"]
    path = table(tmp_path, "emotion,joy,fear,late", "joy,1,0,0", "fear,0,1,1")
    found = read(path, task="multi", label_columns=("joy", "fear"))
    assert [u.emotions for u in found] == [("joy",), ("fear",)]
    rows = ({"emotion": "joy#fear", "joy": 1}, {"joy": 0})
    for each in (*rows, {"emotions": ["joy"]}), ({"emotions": ["joy"], "joy": 1}, {"joy": 1}):
        with pytest.raises(UserError, match="called like labels: 'joy'"):
            read(nested(tmp_path, *each), task="multi", label_separator="#")


def test_a_number_of_a_row_is_not_called_like_a_label(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(f",{HEADER},emotion\n0,1,Ann,Hi.,joy; \n1,1,Ann,So.,fear\n")
    assert [u.emotions for u in read(path, task="multi")] == [("joy",), ("fear",)]


def test_a_main_label_is_one_of_all(tmp_path: Path) -> None:
    path = table(tmp_path, "emotion,joy,fear", "joy,1,0", "anger,1,0")
    for task in ("single", "multi"):
        with pytest.raises(UserError, match="line 3"):
            read(path, label_columns=("joy", "fear"), task=task)


def test_commas_that_divide_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read(table(tmp_path, "emotion", '"grief, loss"', "joy"), task="multi")
    assert "line 2: 'grief, loss' is read as several labels, divided at commas" in caplog.text
    (found, _) = read(table(tmp_path, "emotion", '"[""grief, loss""]"', "joy"), task="multi")
    assert found.emotions == ("grief, loss",)


def test_one_column_of_0_and_1_a_label(tmp_path: Path) -> None:
    path = table(tmp_path, "joy,fear,note", "1,1,a", "0,1,b", "0.0,0,c")
    found = read(path)
    assert [u.emotions for u in found] == [("joy", "fear"), ("fear",), ()]
    assert [dict(u.other) for u in found] == [{"note": note} for note in "abc"]
    named = read(table(tmp_path, "joy,fear,anger", "1,1,0", ",,"), label_columns=("joy", "fear"))
    assert [u.emotions for u in named] == [("joy", "fear"), None]
    # A row that nobody annotated does not hide them.
    found = read(table(tmp_path, "joy,fear,late", "1,0,1", ",,", "0,0,1"))
    assert [u.emotions for u in found] == [("joy", "late"), None, ("late",)]


def test_none_of_the_labels_is_no_empty_cell(tmp_path: Path) -> None:
    found = read(table(tmp_path, "emotions", "joy;fear", "[]", ""), task="multi")
    assert [u.emotions for u in found] == [("joy", "fear"), (), None]


def test_facts_of_a_row_are_no_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(table(tmp_path, "joy,fear,is_customer,has_photo", "1,1,0,1", "0,1,1,0"))
    assert [u.emotions for u in found] == [("joy", "fear"), ("fear",)]
    assert "columns of 0 and 1 are taken for labels, joy, fear" in caplog.text


def test_missing_numbers_are_empty_cells() -> None:
    nan = float("nan")
    assert read_flags([nan, nan], ["joy", "fear"], {"joy": 0, "fear": 1}, "here") is None
    with pytest.raises(UserError, match="'fear' holds nan; expected 0 or 1"):
        read_flags([1.0, nan], ["joy", "fear"], {"joy": 0, "fear": 1}, "here")


@pytest.mark.parametrize(
    ("header", "settings", "message"),
    [
        ("emotion,emotions", {"task": "multi"}, "column 'emotion' and a column 'emotions', whose"),
        ("emotion,emotions", {}, "column 'emotion' and a column 'emotions', whose"),
        ("a,b", {"annotator_columns": ("a", "a")}, "annotator_columns names the column 'a' twice"),
        (
            "a,b",
            {"annotator_columns": ("a",), "label_columns": ("a", "b")},
            r"'a' is named as a label's .* and as an annotator's",
        ),
        (
            "a,b",
            {"annotator_columns": ("a", "b"), "emotion_column": "mood"},
            "has no column 'mood'",
        ),
    ],
)
def test_what_may_be_meant_in_two_ways_is_refused(
    tmp_path: Path, header: str, settings: dict[str, Any], message: str
) -> None:
    cells = "1,1" if "label_columns" in settings else "joy,joy;fear"
    with pytest.raises(UserError, match=message):
        read(table(tmp_path, header, cells), **settings)


def test_a_table_with_an_emotion_is_not_read_by_its_0_and_1(tmp_path: Path) -> None:
    found = read(table(tmp_path, "emotion,agent,late", "joy,0,1", "fear,1,1"))
    assert [u.emotion for u in found] == ["joy", "fear"]


def test_one_column_an_annotator(tmp_path: Path) -> None:
    path = table(tmp_path, "first,second,third", "joy,joy,fear", "joy,,", ",,", "fear,joy,")
    settings: dict[str, Any] = {"annotator_columns": ("first", "second", "third")}
    found = read(path, **settings)
    assert [u.annotations for u in found] == [
        (("joy",), ("joy",), ("fear",)),
        (("joy",),),
        None,
        (("fear",), ("joy",)),
    ]
    assert [u.emotion for u in found] == ["joy", "joy", None, None]
    several = read(path, **settings, task="multi")
    assert [u.emotions for u in several] == [("joy",), ("joy",), None, ("fear", "joy")]
    joined = table(tmp_path, "first,second", "joy;fear,joy", "fear,")
    found = read(joined, annotator_columns=("first", "second"), task="multi")
    assert [u.annotations for u in found] == [(("joy", "fear"), ("joy",)), (("fear",),)]


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        (
            ["joy,fear,awe", "1,0,0", "1,1,0.5"],
            {},
            r"own\.csv line 3: column 'awe' holds '0\.5', .*expected 0 or 1",
        ),
        (
            ["joy,fear", "1,0", "2,1"],
            {"label_columns": ("joy", "fear")},
            r"line 3: dialogue '1': column 'joy' holds '2'; expected 0 or 1",
        ),
        (
            ["joy,fear", "1,0", "1,"],
            {"label_columns": ("joy", "fear")},
            r"line 3: .*column 'fear' holds ''; expected 0 or 1",
        ),
        (["joy,fear", "1,0"], {"label_columns": ("joy", "awe")}, r"no column 'awe', which config"),
        (["a,b", "joy,"], {"annotator_columns": ("c",)}, r"no column 'c', .*annotator_columns"),
        (["emotion", "joy;joy"], {"task": "multi"}, r"line 2: .* has the label 'joy' twice"),
        (
            ["emotion", "joy;fear", '"joy, awe"'],
            {"task": "multi"},
            r"';' \(line 2: 'joy;fear'\), ',' \(line 3: 'joy, awe'\); name .*label_separator",
        ),
        (["emotion", "joy;fear"], {"task": "single", "label_separator": ";"}, r"has 2 labels"),
        (["mood,late", "joy,1"], {}, r"has no column 'emotion'"),
        *(
            (
                ["joy,fear", *rows],
                {},
                r"no column 'emotion'.* Where each label has a column, .* fill them with 1 and 0,"
                r" .* name them with config\.data\.label_columns\.",
            )
            for rows in (["x,", ",x"], ["yes,no", "no,yes"], ["0.9,0.1", "0.2,0.8"])
        ),
    ],
)
def test_tables_that_cannot_be_used(
    tmp_path: Path, rows: list[str], settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(table(tmp_path, *rows), **settings)


def test_joined_labels_are_refused_with_one_label_and_the_way_is_named(tmp_path: Path) -> None:
    rows = ("emotion", "joy;fear", "joy", "fear")
    files = {}
    for split in ("train", "dev", "test"):
        files[split] = str(table(tmp_path, *rows, name=f"{split}.csv"))
        Path(files[split]).write_text(Path(files[split]).read_text().replace("Line", split))
    data = DataConfig(corpus="custom", cache_dir=str(tmp_path / "cache"), **files)
    with pytest.raises(UserError, match=r"'joy;fear' \(3: .* config\.data\.task=multi"):
        corpora.load(data)
    corpus = corpora.load(DataConfig(**{**vars(data), "task": "multi"}))
    assert corpus.task == "multi"
    assert corpus.taxonomy.labels == ("fear", "joy")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("anno_1 anno_2 text", "'anno_1', 'anno_2'"),
        ("label1 label2", "'label1', 'label2'"),
        ("annotator_a Annotator-B", "'annotator_a', 'Annotator-B'"),
        ("anno_1 anno", ""),
        ("labels emotions", ""),
        ("worker_id worker_name", ""),
        ("page1 page2", ""),
    ],
)
def test_columns_that_are_called_as_annotators_are(names: str, found: str) -> None:
    message = f" Where {found} are labels, an annotator each: name them with N." if found else ""
    assert LabelForms(annotators_named="N").about_annotators(names.split()) == message
    assert LabelForms(annotators_named="").about_annotators(names.split()) == ""
