"""Scores a finished run again, or a model on a file: `python launch/evaluate.py --run=runs/meld
--split=test`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever is installed

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("evaluate")
