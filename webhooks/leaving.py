"""Whoever leaves while a stream is sent to them cancels what makes it, wherever it is. A query that is cancelled costs
its connection to the database, and of those there are few for everybody.
"""

from anyio import CancelScope


def to_its_end() -> CancelScope:
    """With this, what is inside goes on to its end, and the stream ends after it. Never yield inside."""
    return CancelScope(shield=True)
