"""What can be wrong with a medium. Texts are fit for the person who sent it and quote nothing of its content."""

from runtime.api.errors import VeilrunError


class MediaError(VeilrunError):
    """A picture or video cannot be used."""


class UnknownMedium(MediaError):
    """It is no picture or video of a kind we can read: send another format."""


class BrokenMedium(MediaError):
    """It begins like a known kind but is cut short or damaged: send it again."""


class MediumTooLarge(MediaError):
    """It has more pixels or bytes than the bound: send it smaller."""


class CannotStrip(MediaError):
    """Metadata cannot be removed from this kind of file, so it must not be passed on as it is."""
