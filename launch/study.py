"""Runs a study, many runs for one table: `python launch/study.py configs/studies/ablation.py
--workdir=runs/ablation`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever is installed

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("study")
