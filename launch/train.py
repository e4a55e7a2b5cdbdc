"""Trains both stages into a run's folder: `python launch/train.py --config=configs/meld.py --workdir=runs/meld`."""

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("train")
