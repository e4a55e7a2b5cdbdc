"""The sounds of a request's utterances, with the limits kept."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.features.modality import has_known
from eacl_jax.serving.engine.hearing import Hearing, Rows, Sound
from eacl_jax.serving.errors import ApiError
from eacl_jax.serving.http.schemas import AskedDialogue, AskedUtterance
from eacl_jax.serving.settings import Limits


def sounds_of(
    asked: Sequence[AskedDialogue],
    dialogues: Sequence[Dialogue],
    limits: Limits,
    hearing: Hearing,
) -> list[Sound]:
    """The sounds of a request.

    Args:
      asked: its dialogues.
      dialogues: what was read of these.
      limits: of the sounds.
      hearing: that is to make features of them.

    Raises:
      ApiError: 413, they are too many or too large; 422, the model reads none, or an utterance has
        the features that would be made of it.
    """
    found: list[Sound] = []
    for number, (each, dialogue) in enumerate(zip(asked, dialogues, strict=True)):
        # A transcript has none.
        for index, (turn, utterance) in enumerate(
            zip(each.utterances, dialogue.utterances, strict=False)
        ):
            path = f"dialogues[{number}].utterances[{index}]."
            if sound := sound_of(turn, utterance, limits, hearing, path, (number, index)):
                found.append(sound)
            if len(found) > limits.sounds:
                message = (
                    f"the request holds {len(found)} sounds or more; the limit is {limits.sounds}."
                    " Send them in several requests."
                )
                raise ApiError(413, "too_large", message, field=f"{path}audio")
    return found


def sound_of(
    asked: object,
    utterance: Utterance,
    limits: Limits,
    hearing: Hearing,
    path: str = "",
    of: tuple[int, int] = (0, 0),
) -> Sound | None:
    """The sound of an utterance, if it has one; `path` comes before the field's name. Raises as
    `sounds_of`.
    """
    data = asked.sound if isinstance(asked, AskedUtterance) else None
    if data is None:
        return None
    field = f"{path}audio"
    if not hearing.makers:
        message = f"{field}: no sound is read: {hearing.deaf}. Leave it out."
        raise ApiError(422, "invalid", message, field=field)
    if both := [name for name in hearing.makers if has_known(utterance.features, name)]:
        message = f"{field}: the features {both[0]!r} are given too; give one of the two."
        raise ApiError(422, "invalid", message, field=field)
    if len(data) // 4 * 3 > limits.sound_bytes + 2:
        message = (
            f"{field} holds a sound of {len(data) // 4 * 3 / 2**20:.1f} MiB; the limit is"
            f" {limits.sound_bytes / 2**20:g} MiB."
        )
        raise ApiError(413, "too_large", message, field=field)
    return Sound(data, f"{field}.data", *of)


def as_asked(heard: Mapping[str, Rows]) -> dict[str, list[Any]]:
    """Features that were made of a sound, as a request may give them: of one frame its numbers,
    null for what is not known.
    """
    found: dict[str, list[Any]] = {}
    for name, rows in heard.items():
        # The shortest digits that stand for the same number.
        frames = [
            [None if np.isnan(number) else float(str(number)) for number in row] for row in rows
        ]
        found[name] = frames[0] if len(frames) == 1 else frames
    return found


def names_of(
    dialogues: Sequence[Dialogue], sounds: Sequence[Sound], makers: Mapping[str, str]
) -> list[set[str]]:
    """The modalities that each utterance has, those of its sound among them."""
    heard = {(each.dialogue, each.utterance) for each in sounds}
    return [
        {
            *(name for name in utterance.features if has_known(utterance.features, name)),
            *(makers if (number, index) in heard else ()),
        }
        for number, dialogue in enumerate(dialogues)
        for index, utterance in enumerate(dialogue.utterances)
    ]
