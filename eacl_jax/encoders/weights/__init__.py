"""Checkpoint files to parameters and back: formats, names of tensors."""
