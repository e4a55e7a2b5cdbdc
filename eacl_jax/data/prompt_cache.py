"""The prompts of a corpus, kept in the cache folder, so that they need not be built twice.

    <cache>/prompts/<key>.npz   examples, named after everything that they depend on

The folder may be deleted at any time, and a run without a folder to write to goes on without.
"""

import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from eacl_jax.config import PromptConfig, Readout
from eacl_jax.data import names, prompts, scripts
from eacl_jax.data.prompts import Example, PromptBuilder
from eacl_jax.dialogue import SPLITS, Corpus, Dialogue

log = logging.getLogger(__name__)

# Raise it when what is in a file, or how it is read, changes.
FORMAT = "eacl_jax prompts 3"
KEPT_FILES = 32


def corpus_examples(
    corpus: Corpus,
    tokenizer: Any,
    config: PromptConfig,
    *,
    readout: Readout,
    trailing_space: bool,
    cache: Path,
) -> dict[str, list[Example]]:
    """The examples of each split, as `PromptBuilder` builds them: read from the cache where they
    are there, else kept there.

    Args:
      corpus: its annotated utterances become examples.
      tokenizer: the encoder's.
      config: token budget and number of past utterances.
      readout: see `PromptBuilder`.
      trailing_space: see `PromptBuilder`.
      cache: the cache folder; one that cannot be written is done without.

    Raises:
      UserError: see `PromptBuilder` and `PromptBuilder.build`.
    """
    key = _key(corpus, tokenizer, config, readout, trailing_space)
    builder = PromptBuilder(tokenizer, config, readout=readout, trailing_space=trailing_space)
    file = cache / "prompts" / f"{key}.npz"
    if key is not None and (kept := _read(file)) is not None:
        return kept
    examples = {split: builder.build(corpus.splits[split], corpus.taxonomy) for split in SPLITS}
    if key is not None:
        _write(file, examples)
    return examples


def _key(
    corpus: Corpus, tokenizer: Any, config: PromptConfig, readout: Readout, trailing_space: bool
) -> str | None:
    """Hash of everything that examples depend on; None where it cannot be known what the
    tokenizer holds.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        log.info(
            "a %s cannot be told from another: its prompts are not kept", type(tokenizer).__name__
        )
        return None
    import transformers  # takes its time, and not only training imports this file

    roles = ("cls", "bos", "sep", "eos", "mask", "unk", "pad")
    parts = [
        FORMAT,
        # A change of how prompts are made needs nobody to remember this file.
        inspect.getsource(prompts),
        inspect.getsource(scripts),
        inspect.getsource(names),
        f"{transformers.__version__} {tokenizers.__version__} {type(tokenizer).__name__}",
        json.dumps({role: getattr(tokenizer, f"{role}_token_id") for role in roles}),
        backend.to_str(),
        json.dumps([dataclasses.asdict(config), readout, trailing_space]),
        json.dumps(corpus.taxonomy.labels),
        *(
            json.dumps([_without_features(dialogue).to_json() for dialogue in corpus.splits[split]])
            for split in SPLITS
        ),
    ]
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def _without_features(dialogue: Dialogue) -> Dialogue:
    """Prompts are made of texts alone."""
    utterances = tuple(dataclasses.replace(each, features={}) for each in dialogue.utterances)
    return dataclasses.replace(dialogue, utterances=utterances)


def _read(file: Path) -> dict[str, list[Example]] | None:
    """Examples by split; None where the file is not there or not as it was written."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            examples = {split: _unpack(split, arrays) for split in SPLITS}
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever a damaged file provokes in the libraries that read it
        log.info(
            "%s cannot be read (%s: %s): its prompts are built anew",
            file,
            type(error).__name__,
            error,
        )
        return None
    with contextlib.suppress(OSError):
        os.utime(file)  # used now, so that it outlives files that nobody reads
    return examples


def _write(file: Path, examples: Mapping[str, Sequence[Example]]) -> None:
    arrays = {
        name: array
        for split, items in examples.items()
        for name, array in _pack(split, items).items()
    }
    part = file.with_name(f".{file.stem}.{uuid.uuid4().hex}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as whole:
            np.savez_compressed(whole, **arrays)  # type: ignore[arg-type]  # allow_pickle is not among them
        part.replace(file)
        _forget_oldest(file.parent)
    except OSError as error:
        _cannot_keep(str(file.parent), error.strerror or str(error))
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


@functools.cache
def _cannot_keep(folder: str, reason: str) -> None:
    """Warns, once a folder and reason."""
    log.warning("prompts are not kept for later runs: %s: %s", folder, reason)


def _forget_oldest(folder: Path) -> None:
    """Deletes all but the files used last; among them what killed processes left unfinished."""
    used = {}
    for file in (*folder.glob("*.npz"), *folder.glob(".*.part")):
        with contextlib.suppress(OSError):  # another process deletes too
            used[file] = file.stat().st_mtime_ns
    for file in sorted(used, key=lambda each: used[each], reverse=True)[KEPT_FILES:]:
        with contextlib.suppress(OSError):
            file.unlink()


def _pack(split: str, examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Arrays of N examples: `tokens` int32, one after another; `numbers` int64 [N, 7]; `dialogues`,
    JSON as bytes.
    """
    return {
        f"{split}_tokens": np.concatenate([np.zeros(0, np.int32), *(e.tokens for e in examples)]),
        f"{split}_numbers": np.array(
            [
                (len(e.tokens), e.readout, e.label, e.utterance, e.truncated, e.unknown, e.alone)
                for e in examples
            ],
            np.int64,
        ),
        f"{split}_dialogues": _to_bytes([e.dialogue for e in examples]),
    }


def _unpack(split: str, arrays: Mapping[str, np.ndarray]) -> list[Example]:
    tokens, dialogues = arrays[f"{split}_tokens"], _from_bytes(arrays[f"{split}_dialogues"])
    examples, end = [], 0
    for dialogue, row in zip(dialogues, arrays[f"{split}_numbers"].tolist(), strict=True):
        length, readout, label, utterance, truncated, unknown, alone = row
        start, end = end, end + length
        examples.append(
            Example(
                tokens[start:end],
                readout,
                label,
                dialogue,
                utterance,
                bool(truncated),
                bool(unknown),
                bool(alone),
            )
        )
    if end != len(tokens):
        raise ValueError(f"{split} has {len(tokens)} tokens where its examples have {end}")
    return examples


def _to_bytes(value: Any) -> np.ndarray:
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _from_bytes(array: np.ndarray) -> Any:
    return json.loads(array.tobytes())
