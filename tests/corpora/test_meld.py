"""MELD: toy files in its format, the published counts, and the reference's token ids."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.meld import Meld
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

HEADER = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\r\n"


def toy(
    folder: Path, row: str = '1,"It’s a ""fine"" day, isn’t it…",The Baker,joy,positive,0,0\r\n'
) -> Path:
    folder.mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / f"{split}_sent_emo.csv").write_bytes((HEADER + row).encode())
    return folder


def test_text_is_cleaned_and_the_speaker_kept(tmp_path: Path, cache: Path) -> None:
    data = DataConfig(corpus="meld", dir=str(toy(tmp_path / "files")))
    builder = Meld(sources=Meld.from_config(data, cache).sources, cache_dir=cache, expected={})
    found = builder.dialogues()
    assert found["dev"][0].dialogue.id == "dev_0"
    assert found["dev"][0].dialogue.utterances == (
        Utterance("The Baker", "It's a fine day, isn't it…", "joy"),
    )


def test_rows_come_in_the_order_of_their_numbers(tmp_path: Path, cache: Path) -> None:
    row = "1,{0},Ann,joy,positive,0,{0}\r\n"
    folder = toy(tmp_path / "files", "".join(map(row.format, (0, 10, 11, 2))))
    data = DataConfig(corpus="meld", dir=str(folder))
    sources = Meld.from_config(data, cache).sources
    (found,) = Meld(sources=sources, cache_dir=cache, expected={}).dialogues()["dev"]
    assert [each.text for each in found.dialogue.utterances] == ["0", "2", "10", "11"]
    assert (found.turns, found.lines) == ((0, 2, 10, 11), (2, 5, 3, 4))
    toy(folder.parent / "twice", "".join(map(row.format, (0, 1, 1))))
    sources = Meld.from_config(
        DataConfig(corpus="meld", dir=str(tmp_path / "twice")), cache
    ).sources
    with pytest.raises(UserError, match=r"lines 3 and 4: dialogue .* has Utterance_ID 1 twice"):
        Meld(sources=sources, cache_dir=cache, expected={}).dialogues()


def test_toy_files_do_not_pass_for_the_corpus(tmp_path: Path, cache: Path) -> None:
    data = DataConfig(corpus="meld", dir=str(toy(tmp_path / "files")), cache_dir=str(cache))
    with pytest.raises(
        UserError,
        match=r"not meld as published: train has 1 dialogues, expected 1038; train has 1 annotated",
    ):
        corpora.load(data)


def test_missing_files_are_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(
        UserError, match=r"config\.data\.dir names .*nowhere, which is not a folder"
    ):
        corpora.load(DataConfig(corpus="meld", dir=str(tmp_path / "nowhere"), cache_dir=str(cache)))
    with pytest.raises(
        UserError,
        match=(
            r"none of the files train_sent_emo\.csv, .* is in .* or the 0 folders below it .*\. Set"
            r" config\.data\.dir"
        ),
    ):
        corpora.load(DataConfig(corpus="meld", dir=str(tmp_path), cache_dir=str(cache)))
    (toy(tmp_path / "meld") / "dev_sent_emo.csv").unlink()
    with pytest.raises(
        UserError, match=r"meld has no dev_sent_emo\.csv \(needed: train_sent_emo\.csv"
    ):
        corpora.load(DataConfig(corpus="meld", dir=str(tmp_path), cache_dir=str(cache)))


def test_folders_as_people_have_them(tmp_path: Path, cache: Path) -> None:
    def find() -> Path:
        return Meld.from_config(DataConfig(corpus="meld", dir=str(tmp_path)), cache).sources["dev"][
            0
        ]

    def rename(folder: Path, old: str, new: str) -> None:
        for path in folder.iterdir():
            path.rename(path.with_name(path.name.replace(old, new)))

    clone = toy(tmp_path / "clone" / "data" / "MELD")
    assert find() == clone / "dev_sent_emo.csv"
    rename(clone, "sent_emo", "Sent_Emo")
    assert find() == clone / "dev_Sent_Emo.csv", "capitals do not matter"
    rename(clone, "_Sent_Emo", "_data")
    assert find() == clone / "dev_data.csv", "as repositories of papers exchange them"
    other = toy(tmp_path / "paper" / "data" / "Other", "1,Hm.,Ana,joy,positive,0,0\r\n")
    rename(other, "_sent_emo", "_data")
    assert find() == clone / "dev_data.csv", "the folder named after the corpus"
    clone.rename(clone.with_name("films"))
    with pytest.raises(
        UserError,
        match=(
            r"films/train_data\.csv and .*Other/train_data\.csv differ, and either could be meant"
        ),
    ):
        find()


@pytest.fixture(scope="module")
def published(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> corpora.Corpus:
    return corpora.load(
        DataConfig(
            corpus="meld", dir=str(shared / "data"), cache_dir=str(tmp_path_factory.mktemp("meld"))
        )
    )


def test_published_counts(published: corpora.Corpus) -> None:
    counts = {
        split: (len(dialogues), sum(u.emotion is not None for d in dialogues for u in d.utterances))
        for split, dialogues in published.splits.items()
    }
    assert counts == {"train": (1038, 9989), "dev": (114, 1109), "test": (280, 2610)}
    assert published.taxonomy.labels == (
        "anger",
        "disgust",
        "fear",
        "joy",
        "sadness",
        "surprise",
        "neutral",
    )
    assert published.taxonomy.words == published.taxonomy.labels
    texts = [
        u.text for dialogues in published.splits.values() for d in dialogues for u in d.utterances
    ]
    assert not any("’" in text or '"' in text or not text.strip() for text in texts)


def test_texts_and_speakers_give_the_reference_tokens(
    published: corpora.Corpus, shared: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(shared / "golden" / "mpnet-tokenizer" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    golden = json.loads((shared / "golden" / "prompts.json").read_text())["examples"]
    begin, separator = golden[0]["input_ids"][0], golden[0]["input_ids"][-1]

    def encode(text: str) -> list[int]:
        return [*tokenizer.encode(text, add_special_tokens=False).ids, separator]

    examples = []
    for dialogue in published.splits["dev"]:
        past = [encode(f"{u.speaker} says: {u.text}") for u in dialogue.utterances]
        for number, u in enumerate(dialogue.utterances):
            target = encode(f"For utterance: {u.text} {u.speaker} feels <mask>")
            start = 0
            while (
                start < number and sum(map(len, past[start : number + 1])) + 8 + len(target) > 256
            ):
                start += 1
            context = [
                token for tokens in past[max(start, number - 8) : number] for token in tokens
            ]
            examples.append(
                {
                    "input_ids": [begin, *context, *target],
                    "label": published.taxonomy.index(u.emotion or ""),
                }
            )
    assert examples[: len(golden)] == golden
