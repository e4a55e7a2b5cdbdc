"""Prints which encoders can be used: `python launch/encoders.py`."""

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("encoders")
