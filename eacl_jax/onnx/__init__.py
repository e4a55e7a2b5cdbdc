"""Trained models as ONNX programs, built from their parameters, and what runs them."""
