"""The answer of a handler that the real server lets fail: an exception nobody catches."""

from aiohttp import web


class Trouble(web.HTTPInternalServerError):
    """500 as plain text, in the words of the HTTP library."""

    def __init__(self) -> None:
        super().__init__(text="500 Internal Server Error\n\nServer got itself in trouble")
