"""Pictures that come over the event socket: what SaveImageWebsocket makes is written nowhere.

Facts (ComfyUI 0.3.64, server.py `send_image` and websocket_image_save.py): a binary frame is a big-endian uint32 event,
here 1, a uint32 image format (1 JPEG, 2 PNG) and the image. Before each frame a `progress` event of the node says which
of how many it is. A frame names neither prompt nor node: it is of the node of the last `executing` on that socket. A
client that announced `supports_preview_metadata` would get none of them; the hub announces nothing.
"""

import struct
from collections.abc import Iterable

from runtime.api.workflow import Graph
from runtime.comfyui.answers import OutputFile
from runtime.comfyui.download import Output
from runtime.comfyui.events import FRAME, Event

SENDING_CLASS = "SaveImageWebsocket"

_HEAD = struct.Struct(">II")
_IMAGE, _PNG = 1, 2


def read_frame(frame: bytes) -> bytes | None:
    """The PNG in a binary frame; None if it holds something else, such as the JPEG of a sampler's preview."""
    if len(frame) <= _HEAD.size or _HEAD.unpack_from(frame) != (_IMAGE, _PNG):
        return None
    return frame[_HEAD.size :]


def sending_nodes(graph: Graph, nodes: Iterable[str] = ()) -> tuple[str, ...]:
    """Those of `nodes` (none = all of the graph) whose pictures come over the socket."""
    return tuple(node for node in nodes or graph if graph.get(node, {}).get("class_type") == SENDING_CLASS)


class SentPictures:
    """The pictures that `nodes` send during one run of a prompt, from its events in order.

    What a broken socket swallowed is noticed: the server says how many pictures there are. is_over: the prompt's end
    was heard, so that no more will come. is_too_large: they were more than `limit_bytes`, and none is kept.
    """

    def __init__(self, nodes: Iterable[str], limit_bytes: int) -> None:
        self.is_over = False
        self.is_too_large = False
        self._left = limit_bytes
        self._pictures: dict[str, list[bytes]] = {node: [] for node in nodes}
        self._counts: dict[str, int] = {}

    def note(self, event: Event) -> None:
        """Take in one event of the prompt."""
        self.is_over = self.is_over or event.is_end
        if event.node is None or event.node not in self._pictures:
            return
        if event.kind == "progress":
            self._counts[event.node] = int(event.steps)
        elif event.kind == FRAME and (picture := read_frame(event.content)) is not None:
            self._keep(event.node, picture)

    def _keep(self, node: str, picture: bytes) -> None:
        self._left -= len(picture)
        if self._left >= 0:
            self._pictures[node].append(picture)
        else:
            self.is_too_large = True
            self._pictures = {node: [] for node in self._pictures}

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(self._pictures)

    @property
    def is_complete(self) -> bool:
        """Whether every picture of every node is here."""
        return all(len(sent) == self._counts.get(node) for node, sent in self._pictures.items())

    def of(self, node: str) -> list[Output]:
        """The pictures of the node, PNG, in order; none if it is no sending node."""
        file = OutputFile(node, "", type="sent")
        return [Output(file, "image/png", picture) for picture in self._pictures.get(node, ())]
