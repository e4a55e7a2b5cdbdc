"""What a request passes on its way to the engine, and what a browser gets."""
