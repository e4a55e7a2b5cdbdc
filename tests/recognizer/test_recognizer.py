"""The recognizer as its users call it."""

import dataclasses
import json
import pickle
import types

import jax
import numpy as np
import pytest
from flax import nnx

from eacl_jax import encoders
from eacl_jax.data.batching import collate, plan
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model import label_words
from eacl_jax.model.label_words import label_batch
from eacl_jax.model.representer import Model
from eacl_jax.model.scores import Answering, host_cosines, scores
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from eacl_jax.recognizer.scoring import Tally
from tests.stubs.toys import WORDS, make_config, make_encoder_folder, make_recognizer

CHAT = (
    "Ann: the day is wonderful\nBob: it is rude\nAnn: table\nBob: hello there good day\nCleo: say"
    " it now"
)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    return make_recognizer(tmp_path_factory.mktemp("encoder"))


def close(one, other):
    assert one.emotion == other.emotion
    for field in ("probabilities", "cosines"):
        left, right = getattr(one, field), getattr(other, field)
        assert list(left) == list(right)
        np.testing.assert_allclose(list(left.values()), list(right.values()), atol=1e-5)


def test_an_answer_holds_what_was_said_probabilities_and_cosines(recognizer):
    answer = recognizer.predict(CHAT)
    assert [(p.speaker, p.text) for p in answer[:2]] == [
        ("Ann", "the day is wonderful"),
        ("Bob", "it is rude"),
    ]
    for each in answer:
        assert sum(each.probabilities.values()) == pytest.approx(1)
        assert (
            each.emotion
            == max(each.cosines, key=each.cosines.get)
            == max(each.probabilities, key=each.probabilities.get)
        )
        assert each.confidence == each.probabilities[each.emotion]
    reps = recognizer.encode(CHAT)
    expected = scores(
        reps, recognizer.anchors["stage_two"], temperature=recognizer.settings.temperature
    )
    calibrated = jax.nn.softmax(expected / recognizer.settings.calibration["stage_two"], axis=1)
    np.testing.assert_allclose(
        [list(p.probabilities.values()) for p in answer], calibrated, atol=1e-5
    )


def test_answers_print_and_become_records(recognizer):
    answer = recognizer.predict(CHAT)
    assert len(str(answer).splitlines()) == len(answer) == 5
    assert str(answer[0]).startswith("Ann: the day is wonderful  ->  ")
    record = json.loads(json.dumps(answer.to_json()))
    assert record["utterances"][1]["text"] == "it is rude"
    row = answer.to_rows()[4]
    assert (row["utterance"], row["speaker"]) == (4, "Cleo")
    assert {name for name in row if name.startswith("p(")} == {
        f"p({label})" for label in recognizer.labels
    }
    assert str(recognizer.predict(Dialogue("x", ()))) == ""


def test_one_dialogue_or_many(recognizer):
    alone = recognizer.predict(CHAT)
    many = recognizer.predict(
        [Dialogue("a", (Utterance("Bob", "end of day"),)), CHAT, Dialogue("c", ())]
    )
    assert [each.id for each in many] == ["a", "2", "c"]
    assert [len(each) for each in many] == [1, 5, 0]
    for one, other in zip(many[1], alone, strict=True):
        close(one, other)
    assert recognizer.predict([]) == []


def test_answers_do_not_depend_on_what_is_asked_beside(recognizer):
    rng = np.random.default_rng(0)
    words = [
        *(word for some in WORDS.values() for word in some),
        "for",
        "utterance",
        "says",
        "feels",
        "hello",
        "good",
        "day",
    ]
    crowd = [
        [
            (
                str(rng.choice(["Ann", "Bob", "Cleo"])),
                " ".join(rng.choice(words, rng.integers(1, 30))),
            )
            for _ in range(n)
        ]
        for n in rng.integers(1, 12, 40)
    ]
    together = recognizer.predict(crowd)
    again = recognizer.predict(crowd)
    assert together == again
    for number in (0, 7, 39):
        for one, other in zip(together[number], recognizer.predict(crowd[number]), strict=True):
            close(one, other)


def test_a_long_text_is_cut_and_says_so_or_is_refused_or_read_in_parts(recognizer, caplog):
    parts = ["the day is wonderful " * 15, "it is rude and awful " * 15]
    long = [("Ann", parts[0] + parts[1]), ("Bob", "table")]
    cut, short = recognizer.predict(long)
    assert (cut.truncated, short.truncated) == (True, False)
    assert "1 utterance is longer than prompt.max_tokens=96 allows" in caplog.text
    assert str(cut).endswith("(text longer than the model reads)")
    assert cut.to_json()["truncated"] is True
    with pytest.raises(
        UserError, match=r"dialogue '1' utterance 0: its text has \d+ tokens, of which \d+ fit"
    ):
        recognizer.predict(long, on_long="refuse")
    with pytest.raises(UserError, match="on_long must be one of cut, refuse, pool"):
        recognizer.predict(long, on_long="drop")
    pooled = recognizer.predict(long, on_long="pool")
    assert pooled[0].truncated
    close(pooled[1], short)
    example, _ = recognizer.examples(read_dialogues(long)[0], on_long="pool")
    assert len(example.windows) == 1
    halves = [
        recognizer.represent([part])[0]
        for part in (*example.windows, dataclasses.replace(example, windows=()))
    ]
    np.testing.assert_allclose(
        recognizer.encode(long, on_long="pool")[0], np.mean(halves, axis=0), atol=1e-5
    )


def test_an_answer_without_what_was_said_before_is_marked(recognizer, caplog):
    chat = [("Ann", "it is rude"), ("Bob", "the day is wonderful " * 30), ("Ann", "so")]
    assert [answer.alone for answer in recognizer.predict(chat)] == [False, True, True]
    assert "2 utterances are read by themselves" in caplog.text
    one = recognizer.predict(chat)[1]
    assert [*one.to_json()] == [*recognizer.predict(chat)[0].to_json()]
    tally = Tally(recognizer.labels)
    label = recognizer.labels[0]
    said = Dialogue("1", tuple(Utterance(who, text, label) for who, text in chat))
    tally.add([said], list(recognizer.predict(chat)))
    assert tally.scores().alone == 2


def test_a_text_of_unknown_tokens_says_so(recognizer, caplog):
    known, unknown = recognizer.predict([("Ann", "the day"), ("Bob", "我们 拿 到")])
    assert (known.unknown_text, unknown.unknown_text) == (False, True)
    assert (
        "1 utterance holds mostly tokens that the encoder's tokenizer does not know" in caplog.text
    )
    assert "text unknown to the model" in str(unknown)
    # Of a text that is cut, what is read counts.
    long = [("Ann", "the day " * 300 + "天 " * 90), ("Ann", "天 " * 200 + "the day " * 60)]
    assert [answer.unknown_text for answer in recognizer.predict(long)] == [True, False]


def test_html_in_a_text_is_told(recognizer, caplog):
    said = ("Ann", "the day<br>")
    talk = recognizer.conversation()
    for answer in (recognizer.predict, lambda given: talk.add(*given[0])):
        caplog.clear()
        answer([said])
        assert "1 text holds HTML, such as '<br>', which is read as words" in caplog.text


def test_notes_of_a_chat_program_are_counted(recognizer, caplog):
    turns = [("Ann", "<Media omitted>"), ("System", "Ben joined the chat"), ("Ben", "the day")]
    talk = recognizer.conversation()
    recognizer.predict(turns)
    assert "2 texts are what a chat program notes, such as '<Media omitted>', which" in caplog.text
    caplog.clear()
    talk.add(*turns[0])
    assert "1 text is what a chat program notes" in caplog.text


def test_texts_that_may_be_in_another_language_are_told(recognizer, caplog):
    """Where it is known how those of training were broken into pieces, and what was is read."""
    own = recognizer.with_labels({"up": "good", "down": "end"})
    said = ("Ann", "it is a day it is a day")
    own.predict([said] * 3)
    assert "another language" not in caplog.text
    own.facts = types.SimpleNamespace(pieces=0.5, changes=(), adapted=lambda *of: None)
    labelled = {"utterances": [{"speaker": said[0], "text": said[1], "emotion": "up"}] * 3}
    told = "3 of 3 texts, short ones taken together, may be in another language"
    for answer in (
        lambda: own.predict([said] * 3),
        lambda: own.adapt(labelled),
    ):
        caplog.clear()
        answer()
        assert told in caplog.text
    caplog.clear()
    talk = own.conversation()
    for _ in range(2):
        talk.add(*said)
    assert told not in caplog.text
    for _ in range(2):
        talk.add(*said)
    assert caplog.text.count(told) == 1


def test_other_fields_come_back_and_an_answer_may_be_asked_again(recognizer):
    given = {
        "id": 7,
        "topic": "home",
        "utterances": [{"speaker": "Ann", "text": "the day", "at": "10:31", "emotion": "?"}],
    }
    answer = recognizer.predict(given)
    record = answer.to_json()
    assert (record["id"], record["topic"], record["utterances"][0]["at"]) == ("7", "home", "10:31")
    assert answer.to_rows()[0]["at"] == "10:31"
    assert recognizer.predict(record).to_json() == record


def test_what_is_printed_obeys_no_terminal_sequence(recognizer):
    answer = recognizer.predict([("A\x1b[2J", "\x1b[31mhello\x07")])
    for text in (str(answer), str(answer[0]), repr(answer)):
        assert not any(ord(character) < 32 and character != "\n" for character in text)


def test_settings_that_cannot_be(recognizer, tmp_path):
    with pytest.raises(
        UserError, match="no anchors of stage 'three'; there are those of stage_one, stage_two"
    ):
        recognizer.predict(CHAT, stage="three")
    recognizer.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match="batch_size must be at least 1, got -1"):
        EmotionRecognizer.from_pretrained(tmp_path / "model", batch_size=-1)


def test_pickling_takes_path_and_changes_and_loads_again(recognizer, tmp_path):
    with pytest.raises(TypeError, match="save and load it first"):
        pickle.dumps(recognizer)
    recognizer.save_pretrained(tmp_path / "model")
    own = EmotionRecognizer.from_pretrained(tmp_path / "model").with_labels(["joy", "anger"])
    pickled = pickle.dumps(own)
    assert len(pickled) < 10_000
    again = pickle.loads(pickled)
    assert again.predict(CHAT) == own.predict(CHAT)
    assert repr(again) == repr(own)
    assert str(tmp_path) in repr(own)
    with (tmp_path / "model" / "heads.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(UserError):
        pickle.loads(pickled)


def test_a_conversation_is_answered_as_it_goes_on(recognizer):
    lines = CHAT.splitlines() * 3
    offline = recognizer.predict("\n".join(lines))
    conversation = recognizer.conversation()
    for line, expected in zip(lines, offline, strict=True):
        close(conversation.add(line), expected)
    assert len(conversation) == len(lines)


def test_a_refused_utterance_leaves_the_conversation_as_it_was(recognizer):
    lines = CHAT.splitlines()
    conversation = recognizer.conversation()
    conversation.add(lines[0])
    with pytest.raises(UserError, match="null character"):
        conversation.add("Ann: a\0")
    with pytest.raises(UserError, match="its text has"):
        conversation.add("Ann: " + "day " * 300, on_long="refuse")
    close(conversation.add(lines[1]), recognizer.predict(CHAT)[1])


def test_what_was_compiled_ahead_is_not_compiled_again(tmp_path):
    recognizer = make_recognizer(tmp_path)
    shapes = list(recognizer.compile_ahead())
    assert len(set(shapes)) == len(shapes) >= 3
    compiled = recognizer.runtime.passes._represent._cache_size()
    recognizer.predict(CHAT)
    recognizer.predict([CHAT] * 30)
    assert recognizer.runtime.passes._represent._cache_size() == compiled == len(shapes)


def test_own_labels_are_told_by_their_words(recognizer):
    own = recognizer.with_labels(
        {"calm": "neutral", "delight": "joy", "long": "the day is wonderful and rude"}
    )
    assert own.labels == ("calm", "delight", "long")
    assert recognizer.labels == ("joy", "anger", "neutral")
    # The label words of training give the anchors of training.
    same = recognizer.with_labels(
        dict(zip(recognizer.settings.labels, recognizer.settings.words, strict=True))
    )
    cosines = host_cosines(same.anchors["stage_one"], recognizer.anchors["stage_one"])
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-5)
    np.testing.assert_allclose(own.anchors["stage_two"][1], same.anchors["stage_one"][0], atol=1e-5)
    many = recognizer.with_labels({f"label {i}": "good " * i + "day" for i in range(20)})
    assert len(many.predict(CHAT)[0].probabilities) == 20


def test_several_words_of_a_label_are_encoded_each_and_averaged(recognizer):
    words = [*("good " * i + "day" for i in range(1, 10)), "joy", "rude"]
    alone = Taxonomy(tuple(map(str, range(len(words)))), tuple(words))
    encode = recognizer.runtime.passes.encode_labels
    encodings = np.asarray(encode(recognizer.params, label_batch(recognizer.tokenizer, alone)))
    means = np.stack([encodings[:9].mean(axis=0), encodings[9:].mean(axis=0)])
    expected = np.asarray(recognizer.runtime.passes.map(recognizer.params, means))
    own = recognizer.with_labels({"day": "|".join(words[:9]), "mixed": " joy | rude"})
    np.testing.assert_allclose(own.anchors["stage_two"], expected, atol=1e-5)


def test_a_label_that_is_its_own_word_is_not_divided(recognizer):
    own = recognizer.with_labels(["joy|rude", "rude|joy", "anger"])
    assert own.labels == ("joy|rude", "rude|joy", "anger")
    assert own.settings.words == ("joy rude", "rude joy", "anger")


def test_own_labels_do_not_come_from_the_trained_encoder(tmp_path):
    """Training moves the encoder; label words are encoded by the one that it began with."""
    trained = make_recognizer(tmp_path, shift=0.5)
    again = trained.with_labels(["joy", "anger", "neutral"])
    np.testing.assert_allclose(
        np.diag(host_cosines(again.anchors["stage_one"], trained.anchors["stage_one"])),
        1,
        atol=1e-5,
    )


def test_labels_that_can_hardly_be_told_apart_are_named(recognizer, caplog, monkeypatch):
    monkeypatch.setattr(label_words, "NEARLY_EQUAL", -1.0)
    recognizer.with_labels(["joy", "anger"])
    assert "nearly equal: 'joy' and 'anger' (cosine " in caplog.text
    monkeypatch.setattr(label_words, "EQUAL", -1.0)
    with pytest.raises(UserError, match="their anchors are equal: 'joy' and 'anger'"):
        recognizer.with_labels(["joy", "anger"])


def test_a_label_word_that_the_tokenizer_does_not_know_is_named(recognizer, caplog):
    own = recognizer.with_labels({"joy": "joy", "thanks": "gratitude"})
    assert own.warnings == tuple(record.getMessage() for record in caplog.records)
    assert recognizer.warnings == ()
    assert "does not know the words of the labels 'thanks'" in caplog.text


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["joy"], "at least two labels"),
        (["joy", "joy"], "labels repeat"),
        ({"joy": "joy", "x": " "}, "must not be empty"),
        ({"joy": "joy", "x": 3}, "must be text"),
        ({"joy": "joy", "x": "a\0"}, "null character"),
        ({"joy": "joy", "x": "wonderful " * 300}, "longer than the 96 tokens"),
        (
            ["joy", "Joy"],
            r"labels cannot be told apart.*: 'joy' \('joy'\) and 'Joy' \('Joy'\)\. Give each",
        ),
        ("a=joy, b=anger, c=joy", r"'a' \('joy'\) and 'c' \('joy'\)"),
        (["👍", "👎"], "labels cannot be told apart"),
        ("a=joy|glad,b=glad|joy", "labels cannot be told apart"),
        (
            "a=joy|,b=anger",
            r"label 'a': nothing stands before or after a '\|' in its words 'joy\|'",
        ),
        ("a=joy|joy,b=anger", r"label 'a': some of its words 'joy\|joy' are the same tokens"),
        ("a=joy|Joy,b=anger", r"label 'a': some of its words 'joy\|Joy' are the same tokens"),
        ({"a": "|".join(map(str, range(17))), "b": "anger"}, "has 17 words or phrases; give 16"),
        ({"a": "<mask>", "b": "< mask >"}, "labels cannot be told apart"),
    ],
)
def test_labels_that_cannot_be(recognizer, labels, told):
    with pytest.raises(UserError, match=told):
        recognizer.with_labels(labels)


def annotated(count):
    said = {"up": "the day is wonderful", "down": "it is rude and awful", "flat": "table window"}
    return [
        Dialogue(
            str(n),
            tuple(
                Utterance(("Ann", "Ben", "Cem")[n % 3], said[label], label)
                for label in ("up", "down", "flat")[: 1 + n % 3]
            ),
        )
        for n in range(count)
    ]


def test_adapting_to_own_labels_learns_them_and_is_saved_like_any_other(
    recognizer, tmp_path, caplog
):
    zero = recognizer.with_labels(
        {"up": "neutral", "down": "joy", "flat": "anger"}
    )  # words that mislead
    adapted = zero.adapt(annotated(90))
    assert "all examples have the same answer" not in caplog.text
    gold = [u.emotion for d in annotated(6) for u in d.utterances]

    def right(model):
        return sum(
            p.emotion == g
            for p, g in zip((p for d in model.predict(annotated(6)) for p in d), gold, strict=True)
        )

    assert right(adapted) > right(zero)
    assert right(adapted) >= 11
    assert adapted.adaptation.cross_validated > adapted.adaptation.before
    assert adapted.adaptation.examples == {"up": 90, "down": 60, "flat": 30}
    adapted.save_pretrained(tmp_path / "own")
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "own")
    assert loaded.predict(CHAT) == adapted.predict(CHAT)
    # What was saved can take labels again.
    assert loaded.with_labels(["joy", "anger"]).labels == ("joy", "anger")


def test_nan_is_no_answer(recognizer, monkeypatch):
    represent = recognizer.runtime.represent

    def damaged(examples):
        reps = np.array(represent(examples))
        reps[0] = np.nan
        return reps

    monkeypatch.setattr(recognizer.runtime, "represent", damaged)
    with pytest.raises(UserError, match=r"of 1 of \d+ prompts are NaN or infinite: the model's"):
        recognizer.predict(CHAT)


def test_one_example_will_do(recognizer):
    zero = recognizer.with_labels({"up": "good", "down": "end"})
    adapted = zero.adapt({"utterances": [{"speaker": "Ann", "text": "wonderful", "emotion": "up"}]})
    assert adapted.adaptation.examples == {"up": 1, "down": 0}
    assert adapted.settings.calibration == zero.settings.calibration


def test_annotations_that_cannot_be_used(recognizer):
    with pytest.raises(
        UserError, match=r"no utterance has an 'emotion'; annotate .* labels: joy, anger, neutral"
    ):
        recognizer.adapt(CHAT)
    with pytest.raises(
        UserError, match=r"emotions 'up' are not among the labels 'joy', .* \(with_labels\)"
    ):
        recognizer.adapt(annotated(1))
    for seed in (-1, 1.5):
        with pytest.raises(UserError, match="seed must be a whole number from 0 on"):
            recognizer.adapt(CHAT, seed=seed)


def test_what_is_said_word_for_word_elsewhere_is_not_held_out_of_it(recognizer, caplog):
    one = [{"speaker": "Ann", "text": "wonderful " * 200, "emotion": "joy"}]
    adapted = recognizer.adapt([one, one, one])
    assert adapted.adaptation.cross_validated is None
    assert "give two dialogues or more that differ, so that" in str(adapted.adaptation)
    assert "2 of 3 annotated dialogues are said word for word in another one" in caplog.text
    assert "all examples have the same answer, 'joy'" in caplog.text
    assert "3 utterances are longer than prompt.max_tokens=96 allows" in caplog.text
    assert adapted.with_labels(["joy", "anger"]).adaptation is None


def test_calibrating_changes_no_answer(recognizer):
    talk = recognizer.predict(annotated(30))
    gold = [Dialogue(d.id, tuple(Utterance(p.speaker, p.text, p.emotion) for p in d)) for d in talk]
    sure = recognizer.calibrate(gold)  # all its answers are right, so it may be surer
    assert [p.emotion for d in sure.predict(gold) for p in d] == [
        p.emotion for d in talk for p in d
    ]
    assert sure.settings.calibration["stage_two"] < recognizer.settings.calibration["stage_two"]


def test_a_run_decides_near_ties_as_the_recognizer_does(recognizer):
    # In float32 the two anchors score alike, and the first would win; in float64, which recognizers
    # answer by, the second.
    reps = np.zeros((1, recognizer.anchors["stage_two"].shape[1]), np.float32)
    reps[0, 0] = 1
    near = np.tile(reps, (3, 1))
    near[:, 1] = [2e-4, 1e-4, 1]
    assert int(scores(reps, near, temperature=1.0)[0].argmax()) == 0
    (answer,) = recognizer.changed(recognizer.settings, {"stage_two": near}).answer(
        reps, [Utterance("Ann", "hello")]
    )
    (nearest,) = Answering(0.1).decide(Answering(0.1).cosines(reps, near))
    assert answer.emotion == recognizer.labels[nearest] == recognizer.labels[1]


def test_a_model_of_a_loop_of_ones_own_answers_and_is_saved(tmp_path):
    folder = make_encoder_folder(tmp_path / "encoder")
    config = make_config({"encoder.path": str(folder), "prompt.max_tokens": 96})
    loaded, taxonomy = encoders.load(config.encoder), Taxonomy(tuple(WORDS), tuple(WORDS))
    model = Model(loaded.module, len(taxonomy), config.model, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(model, nnx.Param)
    anchors = model.mapping(model.encode_labels(label_batch(loaded.tokenizer, taxonomy)))

    def of(config=config, anchors=anchors):
        return EmotionRecognizer.of_model(config, loaded, taxonomy, graphdef, params, anchors)

    made = of()
    (example, *_) = made.examples(made.read(CHAT)[0])
    batch = collate([example], 1, plan([len(example.tokens)], 1, layout="padded", max_tokens=96))
    np.testing.assert_allclose(made.encode(CHAT)[:1], model.represent(batch), atol=1e-5)
    expected = jax.nn.softmax(
        scores(made.encode(CHAT), anchors, temperature=config.loss.temperature), axis=1
    )
    found = np.array([list(each.probabilities.values()) for each in made.predict(CHAT)])
    np.testing.assert_allclose(found, expected, atol=1e-5)

    made.save_pretrained(tmp_path / "model")
    again = EmotionRecognizer.from_pretrained(tmp_path / "model")
    assert again.predict(CHAT) == made.predict(CHAT)
    # By the pretrained encoder, which is kept beside the trained one in 16 bits.
    other = {"glad": "joy", "cross": "anger"}
    answers = [
        [list(answer.probabilities.values()) for answer in each.with_labels(other).predict(CHAT)]
        for each in (again, made)
    ]
    np.testing.assert_allclose(*answers, atol=1e-3)

    with pytest.raises(UserError, match="stage_one: 2 anchors for 3 labels"):
        of(anchors=anchors[:2])
    with pytest.raises(ValueError, match="texts alone and one label an utterance"):
        of(make_config({"encoder.path": str(folder)}, data__task="multi"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:2], "stage_two: 2 anchors for 3 labels"),
        (lambda a: a[:, :5], r"stage_two: expected shape \[3, 16\], found \[3, 5\]"),
        (lambda a: a * np.nan, "stage_two: holds NaN or infinity"),
        (lambda a: a * 0, "stage_two: those of the labels 0, 1, 2 .* are zero"),
        (lambda a: a[0], "stage_two: 16 anchors for 3 labels"),
    ],
)
def test_anchors_that_cannot_answer_are_refused_before_a_model_is_replaced(
    recognizer, change, message
):
    stage_one, stage_two = (recognizer.anchors[stage] for stage in ("stage_one", "stage_two"))
    changed = {"stage_one": stage_one, "stage_two": change(stage_two)}
    with pytest.raises(UserError, match=message):
        recognizer.changed(recognizer.settings, changed)
