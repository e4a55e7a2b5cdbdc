"""Serves a model over HTTP: `python launch/serve.py --model=runs/meld/model --port=8000`."""

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("serve")
