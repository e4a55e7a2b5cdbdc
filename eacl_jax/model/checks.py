"""What objectives are given must fit together: broadcasting would answer other questions without a
word. Shapes and plain numbers are looked at, which costs nothing in compiled code; values of
arrays only where NumPy holds them.
"""

import math
from typing import Any

import numpy as np

PLAIN = (int, float, np.integer, np.floating)  # numbers that are there to be looked at


def check_between(least: float, most: float = math.inf, **values: Any) -> None:
    """Raises `ValueError` where a value, by its name, is a plain number outside of these."""
    for name, value in values.items():
        if isinstance(value, PLAIN) and not least <= value <= most:
            what = f"from {least:g} to {most:g}" if most < math.inf else f"at least {least:g}"
            raise ValueError(f"{name} must be {what}, got {value}")


def check_temperature(value: Any) -> None:
    """Raises `ValueError` where it is a plain number that is not positive."""
    if isinstance(value, PLAIN) and not value > 0:
        raise ValueError(f"temperature must be positive, got {value}")


def check_each_label(classes: int, **arrays: Any) -> None:
    """Raises `ValueError` unless each of `arrays`, by its name, has one number a label."""
    for name, values in arrays.items():
        if values is not None and np.shape(values) != (classes,):
            raise ValueError(
                f"{name} must be [C], one for each of {classes} labels; got {np.shape(values)}"
            )


def check_labels(labels: Any, classes: int) -> None:
    """Raises `ValueError` where NumPy's labels are no indices of so many."""
    if isinstance(labels, np.ndarray) and labels.size:
        least, most = labels.min(), labels.max()
        if least < 0 or most >= classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}, got {least} to {most}")


def check_anchors(anchors: Any, per_label: int, classes: int | None = None) -> int:
    """Raises `ValueError` unless there are so many anchors a label.

    Args:
      anchors: [C k, D].
      per_label: k.
      classes: C; None: any.

    Returns:
      C.
    """
    count = np.shape(anchors)[0]
    if per_label < 1:
        raise ValueError(f"anchors_per_label must be at least 1, got {per_label}")
    if count % per_label:
        rule = f"anchors must be a multiple of anchors_per_label={per_label}"
        raise ValueError(f"{rule}, got {count}")
    found = count // per_label
    if classes is not None and found != classes:
        raise ValueError(
            f"anchors must be [C k, D], {per_label} of each of {classes} labels; got"
            f" {np.shape(anchors)}"
        )
    return found
