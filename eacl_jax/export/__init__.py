"""Recognizers for programs that know nothing of this package: StableHLO for JAX, a folder for
PyTorch transformers, the hub.
"""
