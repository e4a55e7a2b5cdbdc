"""The tokenizer of a model folder without transformers, whose import takes seconds: what prompts
and label words need of it, with the same ids.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tokenizers

from eacl_jax.errors import UserError

_FILE, _CONFIG = "tokenizer.json", "tokenizer_config.json"
_NAMED = ("bos_token", "cls_token", "eos_token", "mask_token", "sep_token", "unk_token")


class FoldersTokenizer:
    """Texts to ids, as a tokenizer of transformers that is backed by the tokenizers library.

    Attributes:
      name_or_path: the folder that it was read from.
      is_fast: it is backed by the tokenizers library, as those of transformers of which this is so.
      bos_token_id, cls_token_id, eos_token_id, mask_token_id, sep_token_id, unk_token_id: of the
        special tokens; None for one that it has not.
    """

    is_fast = True

    def __init__(self, backend: tokenizers.Tokenizer, config: Mapping[str, Any], name: str) -> None:
        """Use `read_tokenizer`.

        Args:
          backend: of the tokenizers library.
          config: its tokenizer_config.json, with its special tokens by name, as
            `{"mask_token": "<mask>"}`.
          name: `name_or_path`.
        """
        backend.no_truncation()
        backend.no_padding()
        self._backend, self._config, self.name_or_path = backend, config, name
        special = {name: _content(config[name]) for name in _NAMED if config.get(name) is not None}

        def id_of(name: str, otherwise: int | None) -> int | None:
            if name not in special:
                return None
            found = backend.token_to_id(special[name])
            return otherwise if found is None else found

        unknown = self.unk_token_id = id_of("unk_token", None)
        self.bos_token_id = id_of("bos_token", unknown)
        self.cls_token_id = id_of("cls_token", unknown)
        self.eos_token_id = id_of("eos_token", unknown)
        self.mask_token_id = id_of("mask_token", unknown)
        self.sep_token_id = id_of("sep_token", unknown)

    def __len__(self) -> int:
        """Number of tokens, added ones included."""
        return self._backend.get_vocab_size()

    def get_vocab(self) -> dict[str, int]:
        """Ids by token, added ones included."""
        return self._backend.get_vocab()

    def __call__(
        self,
        texts: Sequence[str],
        *,
        add_special_tokens: bool = True,
        split_special_tokens: bool = False,
        truncation: Literal[False] = False,
        padding: Literal[False] = False,
        verbose: bool = False,
    ) -> dict[str, list[list[int]]]:
        """The ids of the texts, as `input_ids`.

        Args:
          texts: each by itself.
          add_special_tokens: whether the tokenizer's first and last tokens stand around them.
          split_special_tokens: whether the name of a special token in a text is text.
          truncation, padding: neither is known here.
          verbose: nothing is logged in any case.
        """
        del truncation, padding, verbose
        # It is the backend's, with which another thread may be encoding: set only where it changes.
        if self._backend.encode_special_tokens != split_special_tokens:
            self._backend.encode_special_tokens = split_special_tokens
        found = self._backend.encode_batch_fast(list(texts), add_special_tokens=add_special_tokens)
        return {"input_ids": [each.ids for each in found]}

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of ids, as of a prompt; of some tokenizers' in small letters."""
        return self._backend.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def save_pretrained(self, folder: Path) -> None:
        """Writes the two files that it was read from, for transformers and `read_tokenizer`; the
        folder is made where it is missing.
        """
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._config, indent=2, ensure_ascii=False)
        (folder / _CONFIG).write_text(f"{text}\n", encoding="utf-8")
        # Its setting of a call is none of the file's.
        (folder / _FILE).write_text(self._backend.to_str(pretty=True), encoding="utf-8")


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder that transformers saved it in; read by transformers, where it is
    none of the tokenizers library's.

    Raises:
      UserError: its files are missing or damaged.
    """
    if not ((folder / _FILE).is_file() and (folder / _CONFIG).is_file()):
        from eacl_jax import encoders  # takes seconds

        return encoders.load_tokenizer(folder, as_saved=True)
    try:
        backend = tokenizers.Tokenizer.from_file(str(folder / _FILE))
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        tokenizer = FoldersTokenizer(backend, config, str(folder.absolute()))
    except Exception as error:  # the tokenizers library raises bare Exception
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{folder}: the tokenizer cannot be read ({type(error).__name__}: {reason}); fetch or"
            " save it again."
        ) from error
    return tokenizer


def _content(token: Any) -> str:
    """Of a special token, which may stand with how it is matched."""
    return str(token["content"] if isinstance(token, dict) else token)
