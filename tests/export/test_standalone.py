"""The prompt rule that exports carry gives the library's ids, wherever a text must be cut."""

import dataclasses
import random

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from eacl_jax.config import PromptConfig
from eacl_jax.data.inputs import read_dialogues
from eacl_jax.data.names import FIRST_NAMES
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.errors import UserError
from eacl_jax.export import standalone_prompts as standalone

SPECIAL = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
}
TEXT = [
    "For utterance: says feels Customer Ann ",
    "I ordered the blue chair on the second of May; it hasn't arrived!",
    "unbelievable, unbelievably rude... rudeness is everywhere",
    "caf\u00e9 na\u00efve \u4f60\u597d \U0001f600\U0001f600 1,234.56 e-mail",
]


def tokenizer(kind):
    """A small tokenizer whose tokens of a text depend on where it begins."""
    if kind == "byte pairs":
        made, trainer = (
            Tokenizer(models.BPE()),
            trainers.BpeTrainer(vocab_size=400, special_tokens=list(SPECIAL.values())),
        )
        made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = decoders.ByteLevel()
    elif kind == "word pieces":
        made = Tokenizer(models.WordPiece(unk_token="<unk>"))
        made.normalizer = normalizers.BertNormalizer()
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=list(SPECIAL.values()))
    else:
        made = Tokenizer(models.Unigram())
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=150, special_tokens=list(SPECIAL.values()), unk_token="<unk>"
        )
    made.train_from_iterator(TEXT, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)


@pytest.mark.parametrize("kind", ["byte pairs", "word pieces", "unigrams"])
@pytest.mark.parametrize(
    ("readout", "config"),
    [
        ("mask", PromptConfig(max_tokens=60, max_past=3)),
        ("last", PromptConfig(max_tokens=60, max_past=3, max_future=1)),
        ("mask", PromptConfig(max_tokens=60, max_past=3, max_future=2, priority="future")),
        ("mask", PromptConfig(max_tokens=60, max_past=2, max_future=1, names="replaced")),
    ],
)
def test_ids_are_the_librarys(kind, readout, config):
    prompts = PromptBuilder(tokenizer(kind), config, readout=readout)
    form = {
        "start": prompts.start,
        "separator": prompts.separator,
        "tail": prompts.tail,
        "opening": prompts.opening,
        "readout": readout,
        **dataclasses.asdict(config),
        "unknown": prompts.unknown,
        "scripts": sorted(prompts.scripts.known),
        "first_names": FIRST_NAMES,
    }
    rng = random.Random(1)
    characters = sorted(set("".join(TEXT))) + [" "] * 9
    cut = later = nothing = 0
    for _ in range(150):
        utterances = [
            (
                rng.choice(["Customer", "Ann", "\u4f60", "Ann 😡", "+49 1"]),
                "".join(
                    rng.choices(characters, k=rng.randint(0, 30 if config.max_future else 120))
                ),
            )
            for _ in range(rng.randint(1, 5))
        ]
        (talk,), _ = read_dialogues([utterances])
        examples = prompts.build([talk], Taxonomy(("a", "b"), ("a", "b")), targets="all")
        for index, example in enumerate(examples):
            ids, column, too_long, unknown = standalone.prompt(
                lambda t: prompts._encode([t])[0],
                utterances[: index + 1],
                form,
                utterances[index + 1 :],
            )
            assert (example.tokens.tolist(), example.readout) == (ids, column)
            assert (example.truncated, example.unknown) == (too_long, unknown)
            nothing += unknown
            alone = standalone.prompt(
                lambda t: prompts._encode([t])[0], utterances[: index + 1], form
            )
            later += ids != alone[0]
        cut += examples[-1].truncated
    name = "Ann " * 60
    assert nothing > 5
    if config.names == "replaced":
        assert later > 50
        return
    with pytest.raises(UserError, match="leaves no room for the text"):
        prompts.build(
            [Dialogue("1", (Utterance(name, "hi"),))],
            Taxonomy(("a", "b"), ("a", "b")),
            targets="all",
        )
    with pytest.raises(ValueError, match="leaves no room for the text in 60 tokens"):
        standalone.prompt(lambda t: prompts._encode([t])[0], [(name, "hi")], form)
    if config.max_future:
        assert later > 50
    else:
        assert 20 < cut < 140


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Ann: hi", r"must be a pair \(speaker, text\), got 'Ann: hi'"),
        (("Ann", None), r"must be a pair .*, got \('Ann', None\)"),
        ((None, "hi"), "must be a pair"),
        (("Ann", "hi", "so"), "must be a pair"),
        ({"speaker": "Ann", "text": "hi"}, "must be a pair"),
        (("", "hi"), "its speaker is empty; give a name, any name"),
        ((" \t", "hi"), "its speaker is empty"),
        (["Ann: hi", "so"], "may be .speaker, text. or two lines of a conversation"),
        (["I got it!", "so"], "'I got it!' does not look like a name: give each line as a pair"),
        (["So happy for you", "so"], "does not look like a name"),
        (["42", "so"], "does not look like a name"),
        (["[Ann]", "so"], "does not look like a name"),
        (("Ann", "a\0b"), "'a.*b' holds a null character at position 1; remove it"),
        (("A\0nn", "hi"), "holds a null character at position 1"),
        (("Ann", "\ud83d"), "holds half of a surrogate pair at position 0"),
    ],
)
def test_what_is_no_utterance_is_refused_as_the_library_does(given, message):
    with pytest.raises(ValueError, match=message) as caught:
        standalone.utterance(given)
    assert "\n" not in str(caught.value)
    if not isinstance(given, (str, dict)):
        with pytest.raises(UserError):
            read_dialogues([given])
    with pytest.raises(ValueError, match=message):
        standalone.prompt(str.split, [given, ("Ben", "hi")], {"max_past": 1, "max_future": 0})


@pytest.mark.parametrize("name", ["Ann", "@ann", "+49 1", "Dr. Smith", "Ann 😡", "Customer"])
def test_a_list_is_a_pair_where_it_begins_with_a_name(name):
    assert standalone.utterance([name, "hi"]) == (name, "hi")
    assert read_dialogues([[name, "hi"]])[0][0].utterances == (Utterance(name, "hi"),)
    assert standalone.utterance((f"{name}: I say!", "hi")) == (f"{name}: I say!", "hi")


@pytest.mark.parametrize(
    ("count", "message"), [(0, ""), (1, "1 utterance is longer"), (1200, "1,200 utterances are ")]
)
def test_texts_that_were_cut_are_counted(count, message, capsys):
    standalone.tell_of_cut(count)
    printed, errors = capsys.readouterr()
    assert (printed, bool(errors)) == ("", bool(count))
    assert errors.startswith(message)


def test_blanks_around_speakers_and_texts_go():
    utterances = [(" Ann", " hi "), ("Ben\t", "so"), ("Ann ", " ok")]
    form = {"start": [], "separator": 0, "tail": [1], "max_tokens": 500, "max_past": 2}
    form |= {"max_future": 1, "priority": "past", "readout": "last", "names": "given"}
    form |= {"unknown": None, "scripts": [], "first_names": FIRST_NAMES, "opening": []}
    ids, *_ = standalone.prompt(
        lambda text: list(text.encode()), utterances[:2], form, utterances[2:]
    )
    assert bytes(ids) == (b"Ann says: hi\0Ann says: ok\0For utterance: so Ben feels\1")
