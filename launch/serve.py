"""Serves a model over HTTP: `python launch/serve.py --model=runs/meld/model --port=8000`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever is installed

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("serve")
