"""Predicts a file of dialogues: `python launch/predict.py --model=runs/meld/model --input=chats.jsonl --output=out.jsonl`."""

from eacl_jax.cli.main import main

if __name__ == "__main__":
    main("predict")
