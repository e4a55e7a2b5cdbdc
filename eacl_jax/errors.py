"""Errors that a user can mend."""


class UserError(Exception):
    """A mistake in what the user gave: data, configuration or a file.

    The message is one sentence or a short list: what is wrong, where (file, line or field), what
    was expected and what to do. The launch scripts print it without a traceback and exit with
    status 2.
    """


class SettingsError(UserError):
    """Settings that lead to nothing with this corpus and encoder, however often they are tried:
    training diverged, or the encoder cannot be what they ask for. What is wrong with files, memory
    or the machine is none: a run of the same settings may succeed once it is mended.
    """


class NameTooLongError(SettingsError):
    """A speaker's name leaves no room for the text in a prompt."""


class LabelsError(SettingsError):
    """Labels, or words of theirs, by which a model cannot answer."""
