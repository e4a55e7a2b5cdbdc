"""A recognizer of features beside the text, as its users call it."""

import ast
import dataclasses
import json
import logging
import pickle
import re

import numpy as np
import pandas as pd
import pytest

from eacl_jax.corpora.beside import with_given_features
from eacl_jax.corpora.files import read_file
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.export.onnx import export_onnx
from eacl_jax.export.pytorch import export_hf
from eacl_jax.export.stablehlo import export_stablehlo
from eacl_jax.recognizer import adapting
from eacl_jax.recognizer.card import card
from eacl_jax.recognizer.ensemble import Ensemble
from eacl_jax.recognizer.preparing import prepare
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs import sounds
from tests.stubs.featured import LOUD, QUIET, VOICE, chances, make_featured, make_hearing

TEXT = "the day is wonderful"
FACE = [[0.1, 0.2], [0.3, None]]


def asked(voice=None, face=None, **more):
    given = {"voice": voice, "face": face}
    features = {name: value for name, value in given.items() if value is not None}
    return {"speaker": "Ann", "text": TEXT, **({"features": features} if features else {}), **more}


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    return make_featured(tmp_path_factory.mktemp("featured"))


@pytest.fixture(scope="module")
def in_words(tmp_path_factory):
    return make_featured(tmp_path_factory.mktemp("words"), "words")


@pytest.fixture(scope="module")
def textless(tmp_path_factory):
    return make_featured(tmp_path_factory.mktemp("textless"), text=False)


def test_equal_texts_differ_by_their_features(recognizer):
    kinds = [asked(), asked(LOUD), asked(QUIET), asked(None, FACE), asked(LOUD, FACE)]
    together = chances(each[0] for each in recognizer.predict([[kind] for kind in kinds]))
    alone = chances(recognizer.predict([kind])[0] for kind in kinds)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(np.unique(together.round(4), axis=0)) == len(kinds)


def flat(voice):
    columns = [f"voice.{name}" for name in VOICE.columns]
    return {"speaker": "Ann", "text": TEXT, **dict(zip(columns, voice, strict=True))}


def test_fields_of_columns_are_features(recognizer, caplog):
    given = [asked(LOUD), asked(QUIET)]
    expected = chances(recognizer.predict(given))
    fields = [flat(LOUD), flat(QUIET)]
    talk = recognizer.conversation()
    with caplog.at_level(logging.WARNING):
        found = [
            recognizer.predict(fields),
            recognizer.predict(pd.DataFrame([{**each, "dialogue": "1"} for each in fields]))[0],
            [talk.add(each) for each in fields],
            # What was answered may be asked again, with the features that the fields became.
            recognizer.predict(
                [{**one, **other} for one, other in zip(given, fields, strict=True)]
            ),
        ]
    for answers in found:
        np.testing.assert_allclose(chances(answers), expected, atol=1e-5)
    assert not [each for each in caplog.messages if "voice" in each]
    # A column that is empty throughout is there.
    frame = pd.DataFrame([{**each, "voice.pitch": None, "dialogue": "1"} for each in fields])
    without = recognizer.predict([{**each, "voice.pitch": None} for each in fields])
    np.testing.assert_allclose(chances(recognizer.predict(frame)[0]), chances(without), atol=1e-6)
    with pytest.raises(UserError, match=r"utterance 0 has features 'voice' and fields voice\.dura"):
        recognizer.predict([{**asked(QUIET), **flat(LOUD)}])
    part = flat(LOUD)
    del part["voice.pitch"]
    with pytest.raises(UserError, match=r"but no voice\.pitch, which the model reads too"):
        recognizer.predict([part])


def test_fields_of_others_answer_nothing(recognizer, tmp_path):
    part, whole = flat(LOUD), flat(QUIET)
    del part["voice.pitch"]
    match = r"but no voice\.pitch, which the model reads too"
    for given in ([[part], [whole]], [whole, part]):
        with pytest.raises(UserError, match=match):
            recognizer.predict(given)
    records = [json.dumps({"id": str(n), "utterances": [x]}) for n, x in enumerate((whole, part))]
    (tmp_path / "a.jsonl").write_text("\n".join(records))
    with pytest.raises(UserError, match=match):
        with_given_features(
            read_file(tmp_path / "a.jsonl", annotated=False), {}, recognizer.settings.modalities
        )
    expected = chances(recognizer.predict([{**part, "voice.pitch": None}]))
    both = recognizer.predict([[{**part, "voice.pitch": None}], [whole]])
    np.testing.assert_allclose(chances(both[0]), expected, atol=1e-6)


@pytest.mark.parametrize("fusion", ["recognizer", "in_words"])
def test_a_conversation_answers_as_the_whole_dialogue(request, fusion):
    model = request.getfixturevalue(fusion)
    turns = [LOUD, QUIET, None, LOUD]
    whole = model.predict([asked(voice) for voice in turns])
    talk = model.conversation()
    found = [talk.add("Ann", TEXT, features=voice and {"voice": voice}) for voice in turns]
    np.testing.assert_allclose(chances(found), chances(whole), atol=1e-5)
    assert not np.allclose(found[0].confidence, found[1].confidence, atol=1e-4)


def test_a_conversation_refuses_what_it_cannot_read_and_warns_once(recognizer, caplog):
    talk = recognizer.conversation()
    with pytest.raises(UserError, match="features 'voice' have 1 numbers, and the model knows 3"):
        talk.add("Ann", TEXT, features={"voice": [1]})
    with pytest.raises(UserError, match="features already"):
        talk.add(asked(LOUD), features={"voice": LOUD})
    with pytest.raises(UserError, match="must be its speaker's name"):
        talk.add(asked(), "hello")
    assert not len(talk)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            talk.add("Ann", TEXT, features={"voice": LOUD, "smell": [1]})
    assert len(talk) == 2
    assert [record.message for record in caplog.records] == [
        "1 of 1 utterances have no features face: they are answered without",
        "the model does not read the features smell: they are left out",
    ]


def test_features_unlike_those_of_training_are_warned_of_once(recognizer, caplog):
    far = [asked([number / 10, 40, 1 - number / 10], [[0, 0]]) for number in range(13)]
    recognizer.predict(far)
    warned = [each for each in caplog.messages if "voice of 13 utterances are far from" in each]
    assert "(loudness: their means" in warned[0]
    assert "face are the same in all 13" in caplog.text
    caplog.clear()
    talk = recognizer.conversation()
    for each in far:
        talk.add(each)
    assert len(caplog.messages) == 2
    assert "voice of 10 utterances are far from" in caplog.text


def test_a_conversation_that_answers_late_refuses_at_once_what_it_cannot_read(recognizer):
    prompt = dataclasses.replace(recognizer.settings.prompt, max_future=1)
    settings = dataclasses.replace(recognizer.settings, prompt=prompt)
    talk = recognizer.changed(settings, recognizer.anchors).conversation()
    assert talk.add(asked(LOUD)) is None
    with pytest.raises(UserError, match="features 'voice' have 1 numbers, and the model knows 3"):
        talk.add(asked([1]))
    assert len(talk) == 1
    assert talk.add(asked(QUIET)) is not None


def test_what_is_no_array_of_frames_is_refused(recognizer, in_words):
    for model in (recognizer, in_words):
        for wrong in ([1.0, 2.0, 3.0], np.ones(3, np.float32)):
            odd = Utterance("Ann", TEXT, features={"voice": wrong})
            with pytest.raises(UserError, match=r"dialogue 'd' utterance 0: .* array \[T, F\]"):
                model.predict(Dialogue("d", (odd,)))
    for model in (recognizer, in_words):
        odd = Utterance("Ann", TEXT, features={"voice": np.float32([[np.inf, 2, 3]])})
        with pytest.raises(UserError, match="features 'voice': a number is infinite"):
            model.predict(Dialogue("d", (odd,)))
    # Where features are words, those of the past are read too.
    odd = Utterance("Ann", TEXT, features={"voice": np.ones((1, 2), np.float32)})
    with pytest.raises(UserError, match="utterance 0: its features 'voice' have 2 numbers"):
        in_words.answer_alone(Dialogue("d", (odd, Utterance("Ann", TEXT))), 1)


def test_without_text_an_answer_by_nothing_says_so(textless, recognizer):
    with_some, by_nothing = textless.predict([asked(LOUD), asked()])
    assert (with_some.unknown_text, by_nothing.unknown_text) == (False, True)
    # A text that is not read can be neither too long nor unknown.
    odd = {"speaker": "Ann", "text": "zzz " * 200, "features": {"voice": LOUD}}
    for model, flags in ((textless, (False, False)), (recognizer, (True, True))):
        (answer,) = model.predict([odd])
        assert (answer.truncated, answer.unknown_text) == flags


def test_equal_texts_are_no_equal_utterances_to_a_model_of_features_alone(textless, caplog):
    chats = [
        Dialogue("a", (Utterance("Ann", TEXT, label, features={"voice": np.float32([voice])}),))
        for label, voice in (("joy", LOUD), ("anger", [-2.0, 0.0, -1.0]))
    ]
    textless.adapt(chats).adapt(chats)
    assert "2 of 2 annotated utterances have, with all utterances before them, the texts of" in (
        caplog.text
    )
    assert "It reads no text: where their features are the same, too, held-out" in caplog.text
    assert "are, with all utterances before them, among those" not in caplog.text


def test_an_empty_text_says_so_but_for_its_features(textless, recognizer, caplog):
    for model in (recognizer, textless):
        caplog.clear()
        empty = [{**asked(LOUD), "text": ""}, {**asked(), "text": " "}]
        by_features, by_nothing = model.predict(empty)
        assert (by_features.unknown_text, by_nothing.unknown_text) == (False, True)
        assert "1 utterance holds mostly" in caplog.text
        assert "or no text: what is answered to it says nothing" in caplog.text


@pytest.mark.slow
def test_other_labels_adapting_and_pickling_keep_the_modalities(recognizer, tmp_path):
    recognizer.save_pretrained(tmp_path / "model")
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "model")
    draw = np.random.default_rng(0)
    dialogues = []
    for number in range(12):
        emotion = ("joy", "anger")[number % 2]
        voice = np.array(LOUD if emotion == "joy" else [-1, -2, -3]) + draw.normal(0, 0.1, 3)
        dialogues.append(
            {"id": str(number), "utterances": [asked(voice.tolist(), emotion=emotion)]}
        )
    adapted = loaded.adapt(dialogues)
    # Of texts that are all the same it could learn nothing.
    assert adapted.adaptation.cross_validated > 90
    answers = [each[0].emotion for each in adapted.predict(dialogues)]
    assert answers == [each["utterances"][0]["emotion"] for each in dialogues]
    others = loaded.with_labels({"delight": "joy", "rage": "anger"})
    for changed in (adapted, others, loaded.calibrate(dialogues), loaded):
        again = pickle.loads(pickle.dumps(changed))
        for model in (changed, again):
            assert model.settings.modalities == recognizer.settings.modalities
        loud, quiet = (chances(changed.predict([asked(voice)])) for voice in (LOUD, QUIET))
        assert not np.allclose(loud, quiet, atol=1e-4)
        np.testing.assert_allclose(chances(again.predict([asked(LOUD)])), loud, atol=1e-6)


def test_equal_texts_of_other_features_are_held_out_apart():
    dialogues = [
        Dialogue(str(n), (Utterance("Ann", "a", "joy", features={"v": np.full((1, 1), value)}),))
        for n, value in enumerate((1.0, 2.0, 1.0))
    ]
    assert adapting.dialogue_numbers(dialogues).tolist() == [0, 0, 0]
    assert adapting.dialogue_numbers(dialogues, ["v"]).tolist() == [0, 1, 0]


def test_growing_windows_of_a_dialogue_are_held_out_together():
    lines = [Utterance("Ann", "Hi.", "joy"), Utterance("Ben", "Oh!", "joy")]
    more = [*lines, Utterance("Ann", "Well.", "joy")]
    other = [lines[0], Utterance("Ben", "Ah!", "joy")]
    shouted = [Utterance("ANN ", "hi. ", "joy")]
    dialogues = [Dialogue("", tuple(each)) for each in (shouted, lines, other, more)]
    assert adapting.dialogue_numbers(dialogues).tolist() == [3, 3, 3, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("export", [export_hf, export_onnx, export_stablehlo, prepare])
def test_programs_that_have_no_input_for_features_are_not_exported(
    recognizer, in_words, tmp_path, export
):
    for model, names in ((recognizer, "voice, face"), (in_words, "voice")):
        with pytest.raises(UserError, match=rf"reads features beside the text \({names}\)"):
            export(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_card_names_the_features(recognizer, textless, in_words):
    plain = dataclasses.replace(recognizer.settings, modalities={})
    assert "## Features" not in card(plain, {}, None)
    assert "text alone, no voice or face" in card(plain, {}, None)
    whole = card(recognizer.settings, {}, None)
    section = whole.partition("## Features\n")[2].partition("\n## ")[0]
    for words in (
        "each modality by a gate that the text and the features open",
        "- **voice**: 3 numbers an utterance: `duration`, `loudness`, `pitch`; made by `test 1`.",
        "- **face**: 2 numbers, in up to 4 frames an utterance (of more, the last); what made them is"
        " not known here.",
        '`{"features": {"voice": [0.1, 0.1, ...], "face": [0.1, 0.1]}}`',
        "An utterance without them is answered by its text",
    ):
        assert words in section
    assert "openSMILE" not in whole
    assert "no voice or face" not in whole
    alone = card(textless.settings, {}, None)
    assert "its answer (marked `unknown_text`) says nothing" in alone
    assert "from its voice and face alone, not from its text" in alone
    assert "**Context** does not count: an answer depends on the features of its utterance" in alone
    assert not re.search(r"before it|said what before|label a text|fine-tuned", alone)
    # What is shown can be run.
    shown = re.search(r"^print\(recognizer.predict\((.*)\)\)$", alone, re.MULTILINE)
    assert shown
    (answer,) = textless.predict(ast.literal_eval(shown[1]))
    assert not answer.unknown_text
    settings = in_words.settings
    assert "words behind the text" in card(settings, {}, None)
    frames = {"voice": dataclasses.replace(settings.modalities["voice"], frames=4)}
    shown = card(dataclasses.replace(settings, modalities=frames), {}, None)
    assert "- **voice**: 3 numbers, the mean over all frames of an utterance: `dur" in shown
    made = dataclasses.replace(VOICE, made_by="opensmile eGeMAPSv02")
    licensed = dataclasses.replace(recognizer.settings, modalities={"voice": made})
    assert "commercial use needs a licence" in card(licensed, {}, None)


@pytest.mark.parametrize("on_long", ["cut", "refuse", "pool"])
def test_where_no_text_is_read_neither_texts_nor_names_are_too_long(textless, caplog, on_long):
    short = [asked(LOUD), asked(QUIET)]
    long = [{**short[0], "text": "hello " * 200}, {**short[1], "speaker": "a" + "/:" * 49}]
    expected = chances(textless.predict(short))
    found = textless.predict(long, on_long=on_long)
    np.testing.assert_array_equal(chances(found), expected)
    talk = textless.conversation()
    turns = [
        talk.add(each["speaker"], each["text"], features=each["features"], on_long=on_long)
        for each in long
    ]
    np.testing.assert_allclose(chances(turns), expected, atol=1e-6)
    assert not any(each.truncated or each.unknown_text or each.alone for each in (*found, *turns))
    read = textless.read(long)[0]
    together = Ensemble([textless]).answers(read, on_long=on_long)  # as `eacl evaluate` asks
    np.testing.assert_array_equal(chances(together), expected)
    made = textless.examples(read, on_long=on_long)  # as `eacl predict` does
    assert not any(each.windows for each in made)
    textless.adapt([{**each, "emotion": "joy"} for each in long])
    assert "longer than" not in caplog.text
    assert "tokenizer" not in caplog.text


def test_whoever_reads_dialogues_hears(tmp_path, caplog):
    hearing, clips = make_hearing(tmp_path / "encoder"), tmp_path / "clips"
    said = []
    for number, hertz in enumerate((120, 200, 300, 400)):
        sounds.put(clips / f"{number}.wav", sounds.voice(hertz, 0.3))
        said.append(asked(audio=f"{number}.wav", emotion=("joy", "anger")[number % 2]))
    chats = [{"id": "a", "utterances": said[:2]}, {"id": "b", "utterances": said[2:]}]
    heard, _ = hearing.read(chats, annotated=True, sounds=clips)
    assert all(each.features for dialogue in heard for each in dialogue.utterances)
    deaf = hearing.encode(chats)
    encoded = hearing.encode(chats, sounds=clips)
    np.testing.assert_allclose(encoded, hearing.encode(heard), atol=1e-6)
    assert np.abs(encoded - deaf).max() > 1e-3
    for name in ("adapt", "calibrate"):
        found, wanted = getattr(hearing, name)(chats, sounds=clips), getattr(hearing, name)(heard)
        assert found.settings.calibration == pytest.approx(wanted.settings.calibration, rel=1e-4)
        for stage, anchors in wanted.anchors.items():
            np.testing.assert_allclose(found.anchors[stage], anchors, atol=1e-5)
    conversation = hearing.conversation(sounds=str(clips))
    answers = [conversation.add(each) for each in (*said[:2], asked())]
    wanted = chances(hearing.predict([*said[:2], asked()], sounds=clips))
    np.testing.assert_allclose(chances(answers), wanted, atol=1e-5)
    for given, message in (
        (asked(audio="none.wav"), r"^the utterance: .*none\.wav is missing"),
        (asked(audio=7), "^the utterance: its 'audio' must be the path of a sound file"),
    ):
        with pytest.raises(UserError, match=message):
            conversation.add(given)
    assert len(conversation) == 3
    hearing.encode([asked()], sounds=clips)
    assert "sounds: no utterance names a sound file" in caplog.text
