"""Predicts a file of dialogues: `python launch/predict.py --model=runs/meld/model
--input=chats.jsonl --output=out.jsonl`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever is installed

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("predict")
