"""The tokenizer of an encoder's folder, by transformers; what its classes make otherwise than the
folder's files say is set right, or told.
"""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eacl_jax.encoders.sources import TOKENIZER_VOCABULARIES
from eacl_jax.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_LOG = logging.getLogger(__name__)
_FILE = "tokenizer.json"
# Where normalizers and pre-tokenizers part ways: capitals, accents, full width, a leading blank,
# punctuation, letters that are repeated.
_PROBES = ("Well, it's FINE?!", " naïve É", "so… ＯＫ", "Nooooo :-)")


def load_tokenizer(folder: Path, *, as_saved: bool = False) -> "PreTrainedTokenizerBase":
    """The tokenizer whose files are in `folder`; no code that came with it is run.

    Transformers 5 makes a tokenizer's normalizer and pre-tokenizer anew, by its class. Where that
    loses a SentencePiece model's map of characters (DeBERTa-v2 and v3), the map is put back; where
    texts have other ids than by tokenizer.json all the same, a warning says so.

    Args:
      folder: where its files are.
      as_saved: it is what tokenizer.json says, where that is there, whatever the installed
        transformers would make of it: the folder was saved here, and its encoder trained so.

    Raises:
      UserError: its files are missing or damaged.
    """
    # Without a vocabulary transformers makes up a tokenizer of a few special tokens and says
    # nothing.
    if not any(file for pattern in TOKENIZER_VOCABULARIES for file in folder.glob(pattern)):
        raise UserError(
            f"{folder} holds no tokenizer; expected one of {', '.join(TOKENIZER_VOCABULARIES)}."
        )
    from transformers import (
        AutoTokenizer,
        PreTrainedTokenizerFast,
    )  # takes two seconds where PyTorch is installed, which it then imports

    try:
        # A path from the root is no name of the hub.
        tokenizer = AutoTokenizer.from_pretrained(
            folder.absolute(), local_files_only=True, trust_remote_code=False
        )
        # That class itself takes tokenizer.json as it is.
        if (
            isinstance(tokenizer, PreTrainedTokenizerFast)
            and type(tokenizer) is not PreTrainedTokenizerFast
        ):
            _set_right(tokenizer, folder, as_saved=as_saved)
    except Exception as error:  # the tokenizers library raises bare Exception
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{folder}: the tokenizer cannot be read ({type(error).__name__}: {reason}); fetch or"
            " save it again."
        ) from error
    return tokenizer


def _set_right(tokenizer: Any, folder: Path, *, as_saved: bool) -> None:
    """Makes of a tokenizer what the folder's files say that it is."""
    import tokenizers

    backend = tokenizer.backend_tokenizer
    if not (folder / _FILE).is_file():
        if (charsmap := _charsmap_of(folder / "spm.model")) and not _maps(backend.normalizer):
            backend.normalizer = _mapping(backend.normalizer, charsmap)
        return
    saved = tokenizers.Tokenizer.from_file(str(folder / _FILE))
    if as_saved:
        tokenizer._tokenizer = saved
        return
    if _maps(saved.normalizer) and not _maps(backend.normalizer):
        backend.normalizer = saved.normalizer
    _compare(tokenizer, saved, folder)


def _compare(tokenizer: Any, saved: Any, folder: Path) -> None:
    """Warns where texts have other ids than by tokenizer.json."""
    saved.no_truncation()
    saved.no_padding()
    saved.encode_special_tokens = True
    wanted = saved.encode_batch(list(_PROBES), add_special_tokens=False)
    found = tokenizer(
        list(_PROBES),
        add_special_tokens=False,
        split_special_tokens=True,
        truncation=False,
        padding=False,
        verbose=False,
    )["input_ids"]
    for text, by_file, ids in zip(_PROBES, wanted, found, strict=True):
        if by_file.ids != ids:
            _LOG.warning(
                "%s: transformers' %s reads texts otherwise than %s says: %r as %s, where the file"
                " has %s. If the encoder was trained as the file has it, let tokenizer_config.json"
                ' say so ("do_lower_case", "strip_accents", "add_prefix_space"), or put there'
                ' "tokenizer_class": "PreTrainedTokenizerFast", which takes the file as it is',
                folder,
                type(tokenizer).__name__,
                _FILE,
                text,
                tokenizer.convert_ids_to_tokens(ids),
                by_file.tokens,
            )
            return


def _parts(normalizer: Any) -> list[Any]:
    """The single normalizers of one, in their order."""
    from tokenizers import normalizers

    if isinstance(normalizer, normalizers.Sequence):
        each = [normalizer[index] for index in range(len(normalizer))]
        return [part for some in each for part in _parts(some)]
    return [] if normalizer is None else [normalizer]


def _maps(normalizer: Any) -> bool:
    """Whether it holds a SentencePiece model's map of characters."""
    from tokenizers import normalizers

    return any(isinstance(part, normalizers.Precompiled) for part in _parts(normalizer))


def _mapping(normalizer: Any, charsmap: bytes) -> Any:
    """The normalizer with a map of characters before the rest, but after lower case, as version 4
    of transformers had it.
    """
    from tokenizers import normalizers

    parts = _parts(normalizer)
    lower = [part for part in parts if isinstance(part, normalizers.Lowercase)]
    rest = [part for part in parts if not isinstance(part, normalizers.Lowercase)]
    return normalizers.Sequence([*lower, normalizers.Precompiled(charsmap), *rest])


def _charsmap_of(model: Path) -> bytes:
    """The map of characters in a SentencePiece model; empty where there is none."""
    if not model.is_file():
        return b""
    from transformers.convert_slow_tokenizer import import_protobuf

    proto = import_protobuf().ModelProto()
    proto.ParseFromString(model.read_bytes())
    return bytes(proto.normalizer_spec.precompiled_charsmap)
