"""Cells with an apostrophe before them."""

from eacl_jax.corpora.formulas import as_written, guarded


def test_apostrophes_of_answers_are_none_of_their_cells() -> None:
    given = ["-NxAbc", "'tis", "+1 to that", "'", "=x", "-5", "'-5", "'5", "'+1"]
    written = [str(guarded(cell)) for cell in given]
    assert written[0] == "'-NxAbc"
    for answer in ("truncated", "unknown_text", "confidence", "p(joy)"):
        assert as_written(written, ["dialogue", "utterance", answer, *"abc"]) == given
    assert as_written(written, ["dialogue", "truncated", *"abcd"]) == written
    # Columns that a table of somebody's own has too.
    assert as_written(written, ["dialogue", "utterance", *"abcd"]) == written
