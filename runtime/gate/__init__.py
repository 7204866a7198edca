"""The gate: what a GPU host lets through to its ComfyUI, and what it cleans up behind each job.

ComfyUI has no authentication, and routes that install nodes or read files. Behind the gate, a bot can run prompts and
fetch what they made; it sees nothing of anybody else's, and its files go when it has them.
"""

from runtime.gate.errors import FoldersUnusable, GateError, UpstreamInvalid
from runtime.gate.folders import Folders
from runtime.gate.server import Gate, running_gate

__all__ = ["Folders", "FoldersUnusable", "Gate", "GateError", "UpstreamInvalid", "running_gate"]
