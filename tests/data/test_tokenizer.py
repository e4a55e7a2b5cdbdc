"""The tokenizer of a model folder, read without transformers: the ids are those of transformers."""

import json

import pytest
from tokenizers import normalizers

from eacl_jax.config import PromptConfig
from eacl_jax.data.prompts import PromptBuilder
from eacl_jax.data.tokenizer import FoldersTokenizer, read_tokenizer
from eacl_jax.dialogue import Dialogue, Taxonomy, Utterance
from eacl_jax.encoders import load_folder, load_tokenizer, save
from eacl_jax.errors import UserError
from tests.stubs import encoders, toys
from tests.stubs.tokenizers import KINDS, published, tokenizer_of

AWKWARD = [
    "",
    " ",
    "  two  spaces ",
    "Well, there it is; isn't it?!...",
    "😀 so 👩‍👩‍👧 happy",
    "Это хорошо",
    "これは良いです",
    "العربية",
    "naïve É ß ﬁ ＦＵＬＬ e\u0301 \ud7a3\uff9e",
    "a\x00b\x07c\u200bd\u202e\n\t\r\u00a0\u3000e",
    "<mask> [MASK] </s> [SEP] <unk> <s> <extra_id_0> |",
    "x" * 3000,
    "the day is " * 1000,
]
SPECIAL = [f"{name}_token_id" for name in ("bos", "cls", "eos", "mask", "sep", "unk")]


@pytest.mark.parametrize("kind", [*KINDS, "words", "words without first tokens"])
def test_ids_are_those_of_transformers(kind, tmp_path):
    (tmp_path / "saved").mkdir()
    if kind.startswith("words"):
        made = (toys if kind == "words" else encoders).make_tokenizer()
    else:
        made = tokenizer_of(kind, tmp_path)
    made.save_pretrained(tmp_path / "saved")
    theirs, ours = load_tokenizer(tmp_path / "saved"), read_tokenizer(tmp_path / "saved")
    assert isinstance(ours, FoldersTokenizer)
    for name in SPECIAL:
        assert getattr(ours, name) == getattr(theirs, name) == getattr(made, name), name
    assert len(ours) == len(theirs)
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.name_or_path == str(theirs.name_or_path)
    for options in (
        {"split_special_tokens": True},
        {"split_special_tokens": True, "add_special_tokens": False},
        {"split_special_tokens": False},
    ):
        found = ours(AWKWARD, truncation=False, padding=False, verbose=False, **options)
        wanted = theirs(AWKWARD, truncation=False, padding=False, verbose=False, **options)
        assert found["input_ids"] == wanted["input_ids"], options
    (ids,) = ours(["the day, is good"])["input_ids"]
    for skip in (False, True):
        shown = ours.decode(ids, skip_special_tokens=skip)
        assert shown == theirs.decode(ids, skip_special_tokens=skip)
        assert shown or skip


def test_a_model_folders_tokenizer_is_the_one_that_was_saved(tmp_path):
    made = tokenizer_of("bert", tmp_path)
    # As another version of transformers would have made it; this one makes it otherwise.
    backend = made.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.NFKC(), backend.normalizer])
    texts = ["well… ＴＨＥＲＥ it is", "[MASK] is it?"]
    options = {"split_special_tokens": True, "add_special_tokens": False}
    wanted = made(texts, **options)["input_ids"]
    made.save_pretrained(tmp_path / "saved")
    tiny, config = (
        encoders.tiny("bert", changes={"vocab_size": len(made)}),
        encoders.CONFIGS["bert"],
    )
    save(tiny, {**config, "vocab_size": len(made)}, tmp_path / "saved")
    loaded = load_folder(tmp_path / "saved").tokenizer
    for tokenizer in (loaded, read_tokenizer(tmp_path / "saved")):
        assert tokenizer(texts, **options)["input_ids"] == wanted
        assert tokenizer.mask_token_id == made.mask_token_id
        tokenizer.save_pretrained(tmp_path / "again" / type(tokenizer).__name__)
    saved = json.loads((tmp_path / "saved" / "tokenizer.json").read_text())
    for again in sorted((tmp_path / "again").iterdir()):
        assert json.loads((again / "tokenizer.json").read_text()) == saved
        for each in (load_tokenizer(again, as_saved=True), read_tokenizer(again)):
            assert each(texts, **options)["input_ids"] == wanted
            assert each.mask_token_id == made.mask_token_id


def test_prompts_are_those_of_transformers(tmp_path):
    tokenizer_of("roberta", tmp_path).save_pretrained(tmp_path)
    dialogue = Dialogue("1", tuple(Utterance("Ann <mask>", text) for text in AWKWARD))
    prompts = [
        PromptBuilder(tokenizer, PromptConfig(max_tokens=64), trailing_space=True).build(
            [dialogue], Taxonomy(("joy", "anger"), ("joy", "anger")), targets="all"
        )
        for tokenizer in (load_tokenizer(tmp_path), read_tokenizer(tmp_path))
    ]
    for one, other in zip(*prompts, strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
        assert (one.readout, one.truncated, one.unknown) == (
            other.readout,
            other.truncated,
            other.unknown,
        )


def test_what_the_saved_settings_say_of_length_does_not_count(tmp_path):
    made = toys.make_tokenizer()
    made.backend_tokenizer.enable_truncation(3)
    made.backend_tokenizer.enable_padding(length=20)
    made.save_pretrained(tmp_path)
    (found,) = read_tokenizer(tmp_path)(["the day is good day"])["input_ids"]
    assert len(found) == 7


def test_without_a_file_of_the_library_transformers_reads_it(tmp_path):
    assert not isinstance(read_tokenizer(published("xlnet", tmp_path)), FoldersTokenizer)


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_damaged_file_is_named(file, text, tmp_path):
    toys.make_tokenizer().save_pretrained(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(UserError, match=r"the tokenizer cannot be read .* fetch or save it again"):
        read_tokenizer(tmp_path)


def test_a_special_token_may_stand_with_how_it_is_matched(tmp_path):
    toys.make_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config["mask_token"] = {"__type": "AddedToken", "content": config["mask_token"], "lstrip": True}
    file.write_text(json.dumps(config))
    assert read_tokenizer(tmp_path).mask_token_id == load_tokenizer(tmp_path).mask_token_id == 4
