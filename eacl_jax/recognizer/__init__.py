"""A trained model in use: it predicts, is saved, loaded and described."""
