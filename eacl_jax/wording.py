"""Numbers with their nouns, for whoever reads a summary, a page or a log."""


def count(size: int, noun: str, plural: str = "") -> str:
    """`1 seed`, `2,610 utterances`."""
    return f"{size:,} {noun if size == 1 else plural or noun + 's'}"
