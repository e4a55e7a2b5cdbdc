"""Batches to scores: the model, its anchors, losses and measures."""
