"""Measures eacl_jax beside peers in PyTorch: `python launch/benchmark.py --task=train
--encoder=minilm --chart=chart.png`.

BUILD_NOTES.md says what was measured; `benchmarks/speed/peers.py` is what the peers do.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # this checkout, whatever is installed

from benchmarks.speed import command

if __name__ == "__main__":
    command.run()
