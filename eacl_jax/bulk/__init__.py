"""Predicting files of any length: constant memory, in parts that together are exactly all, and
killed at no loss.

    lines.py      the input's lines, each with its position, and the check that a resumed run reads
                  the same input
    reading.py    lines of JSON to dialogues; which of them are this process' (shards)
    transcripts.py
                  lines of text to dialogues
    tables.py     rows of CSV to dialogues; seen.py says whether a dialogue's id was there before
    formats.py    answers to bytes
    journal.py    what is done
    writing.py    the output file, in which each dialogue is exactly once, and standard output
    predict.py    the loop

Nothing here imports JAX: a mistyped command line should not wait for it.
"""
