"""Trained models as ONNX programs, built from their parameters, and what runs them."""

import os

# ONNX Runtime's builds send events to their makers, and keep an id of the machine in the home
# folder, unless this is set before it is imported. Whoever wants that sets 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
