"""The built-in corpus keeps what its data card says."""

import collections
import itertools
import re

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig

SIZES = {"train": (160, 1295), "dev": (32, 256), "test": (48, 392)}
MELD_LABELS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return corpora.load(
        DataConfig(corpus="smalltalk", cache_dir=str(tmp_path_factory.mktemp("cache")))
    )


def words(text):
    return re.findall(r"[a-z']+", text.lower())


def utterances(corpus):
    return [
        (split, d.id, u)
        for split, dialogues in corpus.splits.items()
        for d in dialogues
        for u in d.utterances
    ]


def test_sizes_and_labels(corpus):
    assert corpus.taxonomy.labels == MELD_LABELS
    sizes = {
        split: (len(ds), sum(len(d.utterances) for d in ds)) for split, ds in corpus.splits.items()
    }
    assert sizes == SIZES
    for split in SIZES:
        counts = collections.Counter(u.emotion for s, _, u in utterances(corpus) if s == split)
        shares = {label: counts[label] / SIZES[split][1] for label in MELD_LABELS}
        assert 0.40 < shares["neutral"] < 0.50
        assert min(shares.values()) > 0.035


def test_many_speakers_and_settings(corpus):
    assert len({u.speaker for _, _, u in utterances(corpus)}) > 400
    settings = {dialogue.rsplit("-", 1)[0].rstrip("2") for _, dialogue, _ in utterances(corpus)}
    for split, dialogues in corpus.splits.items():
        assert {d.id.rsplit("-", 1)[0].rstrip("2") for d in dialogues} == settings, split


def test_the_same_words_carry_several_emotions(corpus):
    emotions = collections.defaultdict(set)
    for _, _, u in utterances(corpus):
        emotions[" ".join(words(u.text))].add(u.emotion)
    assert sum(len(e) > 1 for e in emotions.values()) >= 15
    assert emotions["they said yes"] >= {"joy", "sadness"}


def test_no_near_copies_across_splits(corpus):
    long = [
        (split, set(words(u.text))) for split, _, u in utterances(corpus) if len(words(u.text)) >= 5
    ]
    for (split, one), (other_split, other) in itertools.combinations(long, 2):
        if split != other_split:
            assert len(one & other) / len(one | other) <= 0.5, (one, other)


def test_repeated_lines_are_short(corpus):
    places = collections.defaultdict(set)
    for split, _, u in utterances(corpus):
        places[u.text].add(split)
    assert all(len(words(text)) <= 4 for text, splits in places.items() if len(splits) > 1)
