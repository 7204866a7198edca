"""HTTP as uvicorn speaks it, with a bound on what its parser keeps: it would take a head of any length, from anybody,
and copy all of it again with each piece that comes.
"""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""So much may come without the end of a head, or after a body without the end of its trailers; browsers and proxies
send less."""


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 to a head that goes on beyond HEAD_BYTES, and closes the connection."""

    _unparsed_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_headers_complete(self) -> None:
        self._unparsed_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        super().on_message_complete()
