"""Prompts: the golden ids, and what must never be lost."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from eacl_jax import corpora
from eacl_jax.config import DataConfig, PromptConfig
from eacl_jax.data.names import FIRST_NAMES
from eacl_jax.data.prompts import NO_LABEL, PromptBuilder, first_past_utterance, warn_about
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.encoders import load_tokenizer
from eacl_jax.errors import UserError
from eacl_jax.export import standalone_prompts
from tests.stubs.toys import PLAIN_WORDS, make_tokenizer

TAXONOMY = Taxonomy(("joy", "anger"), ("joy", "anger"))


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def dialogue(*turns, speaker="ann"):
    return Dialogue("d", tuple(Utterance(speaker, text, emotion) for text, emotion in turns))


def test_token_ids_are_golden(shared, tmp_path):
    golden = json.loads((shared / "golden" / "prompts.json").read_text())["examples"]
    corpus = corpora.load(
        DataConfig(corpus="meld", dir=str(shared / "data"), cache_dir=str(tmp_path))
    )
    builder = PromptBuilder(load_tokenizer(shared / "golden" / "mpnet-tokenizer"), PromptConfig())
    examples = builder.build(corpus.splits["dev"], corpus.taxonomy)[: len(golden)]
    assert [(e.tokens.tolist(), e.label) for e in examples] == [
        (g["input_ids"], g["label"]) for g in golden
    ]


def test_layout_of_a_prompt(tokenizer):
    examples = PromptBuilder(tokenizer, PromptConfig()).build(
        [dialogue(("hello there", None), ("good day", "joy"))], TAXONOMY
    )
    assert len(examples) == 1  # an utterance without an emotion is context only
    text = tokenizer.decode(examples[0].tokens)
    assert text == "<s> ann says : hello there </s> for utterance : good day ann feels <mask> </s>"
    assert examples[0].tokens[examples[0].readout] == tokenizer.mask_token_id
    assert examples[0].label == 0


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_future": 0}, [0, 1]),
        ({"max_future": 1}, [0, 1, 3]),
        # Nearest first: the second one does not fit, so a third that would is not read either.
        ({"max_future": 3, "max_past": 0, "max_tokens": 22}, [3]),
        ({"max_future": 3, "max_past": 0}, [3, 4, 5]),
        ({"max_future": 3, "max_tokens": 27}, [1, 3]),
        ({"max_future": 3, "max_tokens": 27, "priority": "future"}, [3, 4]),
    ],
)
def test_what_is_read_around_an_utterance(tokenizer, settings, expected):
    """The target stays last, after what comes later, and whole utterances are read or none."""
    texts = [
        "hello there good day",
        "good",
        "good day",
        "it is a",
        "hello there good day now",
        "now",
    ]
    turns = dialogue(*((text, "joy" if number == 2 else None) for number, text in enumerate(texts)))
    (example,) = PromptBuilder(tokenizer, PromptConfig(**settings)).build([turns], TAXONOMY)
    parts = tokenizer.decode(example.tokens).removeprefix("<s> ").split(" </s>")[:-1]
    assert [part.strip() for part in parts] == [
        *(f"ann says : {texts[number]}" for number in expected),
        "for utterance : good day ann feels <mask>",
    ]
    assert example.tokens[example.readout] == tokenizer.mask_token_id
    assert len(example.tokens) <= settings.get("max_tokens", 256)


def test_all_targets_for_prediction(tokenizer):
    examples = PromptBuilder(tokenizer, PromptConfig()).build(
        [dialogue(("hello", None), ("good day", "anger"))], TAXONOMY, targets="all"
    )
    assert [e.label for e in examples] == [NO_LABEL, 1]


@pytest.mark.parametrize(
    ("lengths", "max_tokens", "expected"),
    [
        ([5] * 12, 256, 3),  # at most eight past utterances
        ([5], 256, 0),  # no past
        ([40, 30, 20], 40 + 30 + 20 + 8 + 20, 0),  # exactly fits
        ([40, 30, 20], 40 + 30 + 20 + 8 + 20 - 1, 1),  # one token too many: the oldest goes whole
        ([90, 90, 90], 100, 1),  # nothing fits: one past utterance is kept
    ],
)
def test_oldest_utterances_are_dropped_whole(lengths, max_tokens, expected):
    assert (
        first_past_utterance(lengths, PromptConfig(max_tokens=max_tokens, max_past=8)) == expected
    )


def test_long_text_is_cut_and_bos_speaker_and_mask_stay(tokenizer, caplog):
    long = " ".join(["good"] * 100) + " end"
    builder = PromptBuilder(tokenizer, PromptConfig(max_tokens=24))
    with caplog.at_level(logging.WARNING):
        first, second = builder.build([dialogue(("hello " * 30, "joy"), (long, "joy"))], TAXONOMY)
        warn_about([first, second], 24)
    for example in (first, second):
        assert len(example.tokens) == 24  # all the room is used
        assert example.truncated
        assert example.tokens[0] == tokenizer.bos_token_id
        assert tokenizer.decode(example.tokens).endswith("ann feels <mask> </s>")
        assert example.tokens[example.readout] == tokenizer.mask_token_id
    assert "end ann feels" in tokenizer.decode(second.tokens)
    assert "2 utterances are longer" in caplog.text


@pytest.mark.parametrize("on_long", ["cut", "pool"])
def test_a_text_beside_which_nothing_fits_is_read_alone(tokenizer, on_long, caplog):
    turns = [("good day", "joy"), ("good", "joy"), ("good " * 14, "joy"), ("good " * 90, "joy")]
    for past, alone in ((8, [False, False, True, True]), (0, [False] * 4)):
        builder = PromptBuilder(tokenizer, PromptConfig(max_tokens=24, max_past=past))
        examples = builder.build([dialogue(*turns)], TAXONOMY, on_long=on_long)
        assert [example.alone for example in examples] == alone
    with caplog.at_level(logging.WARNING):
        warn_about(examples, 24)
        assert "by themselves" not in caplog.text
        warn_about([dataclasses.replace(examples[2], alone=True)], 24)
    assert "1 utterance is read by itself: beside it prompt.max_tokens=24" in caplog.text
    # What comes later is around it, too.
    builder = PromptBuilder(tokenizer, PromptConfig(max_tokens=24, max_past=0, max_future=1))
    first, *_ = builder.build([dialogue(*reversed(turns))], TAXONOMY)
    assert first.alone


def test_a_text_that_just_fits_is_whole(tokenizer):
    builder = PromptBuilder(tokenizer, PromptConfig(max_tokens=24))
    room = 24 - len(tokenizer.encode("For utterance: ann feels")) - 1  # and the mask
    for words, truncated in ((room, False), (room + 1, True)):
        (example,) = builder.build([dialogue(("good " * words, "joy"))], TAXONOMY)
        assert (len(example.tokens), example.truncated) == (24, truncated)


def test_a_text_in_parts_loses_nothing(tokenizer):
    words = ("hello there good day it is a table " * 8).split()
    builder = PromptBuilder(tokenizer, PromptConfig(max_tokens=24))
    (example,) = builder.build(
        [dialogue(("before", None), (" ".join(words), "joy"))], TAXONOMY, on_long="pool"
    )
    parts = [tokenizer.decode(part.tokens) for part in (*example.windows, example)]
    assert all(
        part.startswith("<s> for utterance : ") and part.endswith(" ann feels <mask> </s>")
        for part in parts
    )
    read = [
        part.removeprefix("<s> for utterance : ").removesuffix(" ann feels <mask> </s>")
        for part in parts
    ]
    assert " ".join(read).split() == words
    sizes = [len(part.split()) for part in read]
    assert max(sizes) - min(sizes) <= 1
    for part in (*example.windows, example):
        assert part.tokens[part.readout] == tokenizer.mask_token_id


def test_a_text_that_is_mostly_unknown_tokens_is_marked(tokenizer):
    turns = [("hello 你", "joy"), ("你 好 hello", "joy"), ("", "joy")]
    examples = PromptBuilder(tokenizer, PromptConfig()).build(
        [dialogue(*turns, speaker="刘")], TAXONOMY
    )
    assert [example.unknown for example in examples] == [False, True, True]


@pytest.mark.parametrize("text", ["", " \n", "\N{ZERO WIDTH SPACE}\N{NO-BREAK SPACE}"])
def test_a_text_that_holds_nothing_is_marked(tokenizer, text):
    examples = PromptBuilder(tokenizer, PromptConfig()).build(
        [dialogue((text, "joy"), ("!", "joy"))], TAXONOMY
    )
    assert examples[0].unknown


@pytest.mark.parametrize("max_past", [0, 1, 8])
def test_only_the_last_utterances_are_looked_at_and_none_is_missed(tokenizer, max_past):
    """The rule is that of the whole past, and the work that of the utterances it may keep."""
    rng = np.random.default_rng(0)
    config = PromptConfig(max_tokens=64, max_past=max_past)
    builder = PromptBuilder(tokenizer, config)
    talk = dialogue(*(("good " * int(rng.integers(1, 25)), "joy") for _ in range(60)))
    lengths = [
        len(tokenizer.encode(f"ann says: {turn.text}", add_special_tokens=False)) + 1
        for turn in talk.utterances
    ]
    for index, example in enumerate(builder.build([talk], TAXONOMY)):
        first = first_past_utterance(lengths[: index + 1], config)
        target = lengths[index] + 4  # "for utterance : ... feels <mask>" for "says :"
        while sum(lengths[first:index]) + 1 + target > 64 and first < index:
            first += 1
        kept = int(np.sum(example.tokens == tokenizer.sep_token_id)) - 1
        assert kept == index - first


def test_speaker_name_without_room_is_an_error(tokenizer):
    with pytest.raises(
        UserError, match=r"dialogue 'd' utterance 0: the speaker's name .* leaves no room"
    ):
        PromptBuilder(tokenizer, PromptConfig(max_tokens=24)).build(
            [dialogue(("hello", "joy"), speaker="ann " * 40)], TAXONOMY
        )


def test_special_tokens_in_a_text_are_ordinary_words(tokenizer):
    (example,) = PromptBuilder(tokenizer, PromptConfig()).build(
        [dialogue(("say <mask> </s> <s> now", "joy"))], TAXONOMY
    )
    assert np.sum(example.tokens == tokenizer.mask_token_id) == 1
    assert np.sum(example.tokens == tokenizer.sep_token_id) == 1
    assert example.tokens[example.readout] == tokenizer.mask_token_id


def test_apostrophes_as_telephones_write_them_are_plain_ones(tokenizer):
    builder = PromptBuilder(tokenizer, PromptConfig())
    plain, typed = (
        builder.build([dialogue((f"i can{mark}t", "joy"), (f"don{mark}t", "joy"))], TAXONOMY)
        for mark in ("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    )
    form = {"separator": builder.separator, "start": builder.start, "tail": builder.tail}
    form |= {"opening": builder.opening, "max_tokens": 256, "max_past": 8, "max_future": 0}
    form |= {"priority": "past", "readout": "mask", "names": "given"}
    form |= {"unknown": None, "scripts": [], "first_names": FIRST_NAMES}
    turns = [("ann", "i can\N{RIGHT SINGLE QUOTATION MARK}t"), ("ann", "don't")]
    exported, *_ = standalone_prompts.prompt(lambda text: builder._encode([text])[0], turns, form)
    for one, other in zip(plain, typed, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
    assert exported == plain[-1].tokens.tolist()


def test_readout_first_needs_no_mask(tokenizer):
    (example,) = PromptBuilder(tokenizer, PromptConfig(), readout="first").build(
        [dialogue(("hello", "joy"))], TAXONOMY
    )
    assert example.readout == 0
    without = make_tokenizer()
    without.mask_token = None
    with pytest.raises(UserError, match=r"has no mask token: set config\.model\.readout"):
        PromptBuilder(without, PromptConfig())
    (example,) = PromptBuilder(without, PromptConfig(), readout="first").build(
        [dialogue(("hello", "joy"))], TAXONOMY
    )
    assert without.decode(example.tokens).endswith("ann feels </s>")


def test_readout_last_is_the_closing_separator(tokenizer):
    (example,) = PromptBuilder(tokenizer, PromptConfig(), readout="last").build(
        [dialogue(("hello", "joy"))], TAXONOMY
    )
    assert example.readout == len(example.tokens) - 1
    assert example.tokens[example.readout] == tokenizer.sep_token_id


@pytest.mark.parametrize("found", ["<unk>", 999])
def test_a_mask_that_the_vocabulary_lacks_is_none(found):
    tokenizer = make_tokenizer()

    class Masked:
        """The tokenizer with another idea of its mask token."""

        mask_token_id = tokenizer.unk_token_id if found == "<unk>" else found

        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, *arguments, **options):
            return tokenizer(*arguments, **options)

    with pytest.raises(
        UserError, match=r'no mask token: set config\.model\.readout to "first", "last" or "mean"'
    ):
        PromptBuilder(Masked(), PromptConfig())
    (example,) = PromptBuilder(Masked(), PromptConfig(), readout="last").build(
        [dialogue(("hello", "joy"))], TAXONOMY
    )
    assert tokenizer.decode(example.tokens).endswith("ann feels </s>")


@pytest.fixture
def like_t5():
    """A tokenizer whose only special tokens are padding, the unknown and the end."""
    vocabulary = ["<pad>", "</s>", "<unk>", *PLAIN_WORDS]
    words = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>")
    )
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )


def test_tokenizer_without_first_token_and_mask(like_t5):
    talk = [dialogue(("hello there", None), ("good day", "joy"))]
    size = len(like_t5)
    for readout in ("last", "mean"):
        (example,) = PromptBuilder(like_t5, PromptConfig(), readout=readout).build(talk, TAXONOMY)
        assert (
            like_t5.decode(example.tokens)
            == "ann says : hello there </s> for utterance : good day ann feels </s>"
        )
        assert example.readout == len(example.tokens) - 1
    assert len(like_t5) == size  # no token was added
    with pytest.raises(
        UserError, match=r'has no mask token: set config\.model\.readout to "last" or "mean"\.'
    ):
        PromptBuilder(like_t5, PromptConfig())
    with pytest.raises(
        UserError, match=r'has no first token: set config\.model\.readout to "last" or "mean"'
    ):
        PromptBuilder(like_t5, PromptConfig(), readout="first")
    like_t5.eos_token = None
    with pytest.raises(UserError, match="has no separator and no end token"):
        PromptBuilder(like_t5, PromptConfig(), readout="last")


def test_budget_without_a_first_token(like_t5):
    past, target = (
        "hello there",
        "good day",
    )  # 6 tokens with speaker and separator; 8 with the words around and separator
    (whole,) = PromptBuilder(like_t5, PromptConfig(), readout="last").build(
        [dialogue((past, None), (target, "joy"))], TAXONOMY
    )
    assert len(whole.tokens) == 14
    for room, kept in (
        (14, 14),
        (13, 8),
    ):  # exactly fits; one token too many, and the utterance goes whole
        builder = PromptBuilder(like_t5, PromptConfig(max_tokens=room), readout="last")
        (example,) = builder.build([dialogue((past, None), (target, "joy"))], TAXONOMY)
        assert len(example.tokens) == kept
    (cut,) = PromptBuilder(like_t5, PromptConfig(max_tokens=20), readout="last").build(
        [dialogue(("good " * 40, "joy"))], TAXONOMY
    )
    assert len(cut.tokens) == 20  # all the room is used


def test_tokenizer_like_xlnets_begins_with_its_cls():
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"cls_token": "<cls>", "sep_token": "<sep>"})
    (example,) = PromptBuilder(tokenizer, PromptConfig()).build(
        [dialogue(("hello", "joy"))], TAXONOMY
    )
    assert tokenizer.decode(example.tokens) == "<cls> for utterance : hello ann feels <mask> <sep>"
    assert example.tokens[example.readout] == tokenizer.mask_token_id


def test_trailing_space_adds_the_stray_token(shared):
    tokenizer = load_tokenizer(shared / "golden" / "mpnet-tokenizer")

    class ByteLevel:
        """A word-piece tokenizer with one token for a lone space, as byte-level tokenizers have."""

        def __getattr__(self, name):
            return getattr(tokenizer, name)

        def __call__(self, texts, **options):
            return {
                "input_ids": [
                    [77] if text == " " else tokenizer(text, **options)["input_ids"]
                    for text in texts
                ]
            }

    plain, spaced = (
        PromptBuilder(ByteLevel(), PromptConfig(), trailing_space=space).build(
            [dialogue(("hello", "joy"))], TAXONOMY
        )[0]
        for space in (False, True)
    )
    assert spaced.tokens.tolist() == [*plain.tokens[:-1], 77, plain.tokens[-1]]
    assert spaced.readout == plain.readout


def test_emotion_outside_the_labels_is_named(tokenizer):
    with pytest.raises(UserError, match=r"dialogue 'd' utterance 1 has emotion 'glee'"):
        PromptBuilder(tokenizer, PromptConfig()).build(
            [dialogue(("hello", "joy"), ("good", "glee"))], TAXONOMY
        )
