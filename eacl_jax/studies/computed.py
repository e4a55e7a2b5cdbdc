"""Notes on runs that were computed in different ways: by other processors, or other versions."""

from collections.abc import Mapping, Sequence

from eacl_jax.studies.table import Row

# BUILD_NOTES.md, "what MELD's anchors are made of": a Xeon and an EPYC.
_EFFECT = "whose roundings differ: that alone has moved a mean of three seeds by 0.8 points"


def computed_elsewhere(rows: Sequence[Row]) -> list[str]:
    """A note for each corpus whose runs, of one variant or of several, were not all computed by the
    same kind of processor, and one where not all were by the same versions. What is not known of a
    run is left out.
    """
    notes = []
    for corpus in dict.fromkeys(row.corpus for row in rows):
        # A run has one cost, whichever stage answers.
        costs = {row.variant: row.cost for row in rows if row.corpus == corpus and row.cost}
        for what in ("processors", "versions"):
            known = {v: some for v, cost in costs.items() if (some := getattr(cost, what))}
            if len({each for some in known.values() for each in some}) > 1:
                notes.append(
                    f"On corpus {corpus!r} runs were computed by different {what}"
                    f" ({_each(known)}), {_EFFECT}."
                )
    return notes


def _each(known: Mapping[str, Sequence[str]]) -> str:
    listed = {name: " and ".join(sorted(some)) for name, some in known.items()}
    if len(set(listed.values())) == 1:
        return f"each variant by {next(iter(listed.values()))}"
    return "; ".join(f"{name!r} by {some}" for name, some in listed.items())
