"""Features from sound: sound files to float32 at 16 kHz, and that to numbers of the voice."""
