"""EmoryNLP: toy files in its format, and the published counts."""

import json
from pathlib import Path
from typing import Any

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.emorynlp import EmoryNlp
from eacl_jax.corpora.found import Found
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

LINE = {
    "utterance_id": "u1",
    "speakers": ["Ana Lee", "Bo"],
    "transcript": 'Is it "Tuesday"?',
    "emotion": "Peaceful",
}


def read(
    folder: Path, cache: Path, utterance: dict[str, Any], **scene: Any
) -> dict[str, list[Found]]:
    folder.mkdir()
    content = {
        "episodes": [
            {
                "episode_id": "e",
                "scenes": [{"scene_id": "e_c01", "utterances": [utterance]} | scene],
            }
        ]
    }
    for split in ("trn", "dev", "tst"):
        (folder / f"emotion-detection-{split}.json").write_text(json.dumps(content))
    builder = EmoryNlp.from_config(DataConfig(corpus="emorynlp", dir=str(folder)), cache)
    return EmoryNlp(sources=builder.sources, cache_dir=cache, expected={}).dialogues()


def test_first_name_of_the_first_speaker_and_lower_case_emotion(
    tmp_path: Path, cache: Path
) -> None:
    (item,) = read(tmp_path / "files", cache, LINE)["test"]
    assert item.dialogue.id == "e_c01"
    assert item.dialogue.utterances == (Utterance("Ana", 'Is it "Tuesday"?', "peaceful"),)


@pytest.mark.parametrize(
    ("utterance", "scene", "message"),
    [
        (
            LINE | {"speakers": []},
            {},
            r"trn\.json: an utterance of scene 'e_c01' names no speaker: \[\]",
        ),
        (LINE | {"speakers": [" "]}, {}, r"names no speaker"),
        (
            LINE | {"emotion": None},
            {},
            r"an utterance of scene 'e_c01' has no field 'emotion' of type str",
        ),
        (LINE, {"scene_id": 3}, r"a scene of episode 0 has no field 'scene_id'"),
        (LINE, {"utterances": []}, r"trn\.json: dialogue 'e_c01' has no utterances"),
    ],
)
def test_faulty_file(
    tmp_path: Path, cache: Path, utterance: dict[str, Any], scene: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path / "files", cache, utterance, **scene)


def test_emotion_outside_the_labels_is_placed_without_a_line(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(tmp_path / "files", cache, LINE | {"emotion": "Bored"})
    monkeypatch.setattr(EmoryNlp, "EXPECTED", {})
    with pytest.raises(
        UserError,
        match=(
            r"trn\.json: dialogue 'e_c01' utterance 0: the emotion 'bored' is not among the labels"
            r" joyful,"
        ),
    ):
        corpora.load(
            DataConfig(corpus="emorynlp", dir=str(tmp_path / "files"), cache_dir=str(cache))
        )


def test_published_counts(shared: Path, cache: Path) -> None:
    corpus = corpora.load(
        DataConfig(corpus="emorynlp", dir=str(shared / "data" / "emorynlp"), cache_dir=str(cache))
    )
    counts = {
        split: (len(dialogues), sum(u.emotion is not None for d in dialogues for u in d.utterances))
        for split, dialogues in corpus.splits.items()
    }
    assert counts == {"train": (713, 9934), "dev": (99, 1344), "test": (85, 1328)}
    assert corpus.taxonomy.labels == (
        "joyful",
        "neutral",
        "powerful",
        "mad",
        "scared",
        "peaceful",
        "sad",
    )
    assert not any(
        " " in u.speaker
        for dialogues in corpus.splits.values()
        for d in dialogues
        for u in d.utterances
    )
