"""The HTTP service: `create_app` makes it from a recognizer, `server.run` serves it."""
