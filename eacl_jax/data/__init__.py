"""Dialogues to batches: what users give, prompts of token ids, and batches of fixed shape."""
