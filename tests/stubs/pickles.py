"""Exchanged pickles as Python 2 wrote them, and small ones of each layout."""

import struct
from typing import Any

import numpy as np

MELD = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
WIDTHS = {"text": 6, "audio": 4, "visual": 3}


def python2(value: Any) -> bytes:
    """Protocol 2 with Python 2's strings, in which arrays have their bytes."""
    return b"\x80\x02" + _python2(value) + b"."


def _python2(value: Any) -> bytes:
    if isinstance(value, str):
        content = value.encode("latin1")
        return b"T" + struct.pack("<i", len(content)) + content
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, np.ndarray):
        kind = (
            b"cnumpy\ndtype\n(U\x02"
            + value.dtype.str[1:].encode()
            + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        shape = b"(" + b"".join(map(_python2, value.shape)) + b"t"
        made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
        return (
            made
            + b"(K\x01"
            + shape
            + kind
            + b"\x89"
            + _python2(value.tobytes().decode("latin1"))
            + b"tb"
        )
    if isinstance(value, set):
        return b"c__builtin__\nset\n(" + _python2(sorted(value)) + b"tR"
    items = b"".join(map(_python2, value if not isinstance(value, dict) else ()))
    if isinstance(value, tuple):
        return b"(" + items + b"t"
    if isinstance(value, list):
        return b"](" + items + b"e"
    pairs = b"".join(_python2(key) + _python2(each) for key, each in value.items())
    return b"}(" + pairs + b"u"


def meld(seed: int = 0) -> tuple[Any, ...]:
    """As MELD_features_raw1.pkl: dialogues 0, 1 and 3 are train, 3 and 4 dev (without its saying
    so), 5 and 6 test.
    """
    rng = np.random.default_rng(seed)
    sizes = {0: 3, 1: 2, 3: 2, 4: 1, 5: 2, 6: 3}
    labels = {key: rng.integers(0, 7, size).tolist() for key, size in sizes.items()}
    sentences = {
        key: [f"sentence {at} of {key}, isn\x92t it" for at in range(size)]
        for key, size in sizes.items()
    }
    vectors = [
        {
            key: [rng.normal(size=width).astype(np.float32) for _ in range(size)]
            for key, size in sizes.items()
        }
        for width in WIDTHS.values()
    ]
    ids = {key: [f"{key}_{at}" for at in range(size)] for key, size in sizes.items()}
    speakers = {key: [[1, 0]] * size for key, size in sizes.items()}
    return ids, speakers, labels, *vectors, sentences, [0, 1, 3, 4], [5, 6], {}
