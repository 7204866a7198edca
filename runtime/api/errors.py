"""What a plugin may raise, and what the public API raises at it: one class per thing the reader can do about it."""


class VeilrunError(Exception):
    """Base of every error that veilrun raises on purpose. Its text says what happened, then what to do."""


class DeclarationError(VeilrunError):
    """A command, parameter, workflow or affinity is declared wrongly: the author corrects the plugin."""


class BadArgument(VeilrunError):
    """The user wrote an argument that a parameter does not take. The text is one line, ready to be shown."""


class Veto(VeilrunError):
    """Raised by a `before_invoke` hook to refuse an invocation. `reason` is shown to the user as it is."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
