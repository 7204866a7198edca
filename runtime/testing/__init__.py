"""What authors test their commands with: no GPU, no Telegram, no onion network.

A pytest plugin, there as soon as veilrun is installed. It costs nothing until one of its fixtures is used: `chat` sends
messages to the whole bot, `comfyui` says what its sandbox server does wrong, `golden` keeps graphs. What they are is in
docs/testing.md.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runtime.testing.chat import Chat, NothingCame, Picture, Reply, Video
    from runtime.testing.comfyui import ComfyUI
    from runtime.testing.contract import ContractBroken, assert_command_contract
    from runtime.testing.golden import Golden, rendered_graph
    from runtime.testing.photos import photo

__all__ = [
    "Chat",
    "ComfyUI",
    "ContractBroken",
    "Golden",
    "NothingCame",
    "Picture",
    "Reply",
    "Video",
    "assert_command_contract",
    "photo",
    "rendered_graph",
]

_MODULES = {
    **dict.fromkeys(("Chat", "NothingCame", "Picture", "Reply", "Video"), "chat"),
    **dict.fromkeys(("ContractBroken", "assert_command_contract"), "contract"),
    **dict.fromkeys(("Golden", "rendered_graph"), "golden"),
    "ComfyUI": "comfyui",
    "photo": "photos",
}


def __getattr__(name: str) -> Any:  # pytest imports this package at every start, also where nobody tests commands
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
