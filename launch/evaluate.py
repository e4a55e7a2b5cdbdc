"""Scores a finished run again, or a model on a file: `python launch/evaluate.py --run=runs/meld --split=test`."""

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("evaluate")
