"""Errors that a user can mend."""


class UserError(Exception):
    """A mistake in what the user gave: data, configuration or a file.

    The message is one sentence or a short list: what is wrong, where (file, line or field), what
    was expected and what to do. The launch scripts print it without a traceback and exit with
    status 2.
    """
