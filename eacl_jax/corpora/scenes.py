"""EmoryNLP's JSON: episodes of scenes of utterances; a scene is a dialogue."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eacl_jax.corpora.found import Found
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError


def read_scenes(path: Path, content: Any) -> Iterator[Found]:
    """The scenes of a file: a speaker is the first one's first name, emotions are in lower case.

    Raises:
      UserError: a field is missing or of another type.
    """
    for number, episode in enumerate(_field(path, content, "episodes", list, "the file")):
        for scene in _field(path, episode, "scenes", list, f"episode {number}"):
            identity = _field(path, scene, "scene_id", str, f"a scene of episode {number}")
            utterances = _field(path, scene, "utterances", list, f"scene {identity!r}")
            yield Found(
                Dialogue(
                    identity,
                    tuple(_utterance(path, item, f"scene {identity!r}") for item in utterances),
                ),
                path,
            )


def _utterance(path: Path, item: Any, where: str) -> Utterance:
    where = f"an utterance of {where}"
    speakers = _field(path, item, "speakers", list, where)
    if not speakers or not isinstance(speakers[0], str) or not speakers[0].split():
        raise UserError(f"{path}: {where} names no speaker: {speakers!r}.")
    emotion = _field(path, item, "emotion", str, where)
    return Utterance(
        speakers[0].split()[0], _field(path, item, "transcript", str, where), emotion.lower()
    )


def _field(path: Path, record: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(record, Mapping) or not isinstance(record.get(key), kind):
        raise UserError(
            f"{path}: {where} has no field {key!r} of type {kind.__name__}; expected the published"
            " JSON of emotion-detection."
        )
    return record[key]
