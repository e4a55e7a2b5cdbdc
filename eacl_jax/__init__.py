"""Emotion recognition in conversation with emotion-anchored contrastive learning, in JAX."""
