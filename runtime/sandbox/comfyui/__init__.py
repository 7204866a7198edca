"""A ComfyUI server without a GPU.

`SandboxComfyUI` for tests and demos; `python -m runtime.sandbox.comfyui` as a process of its own.
"""

from runtime.sandbox.comfyui.facts_http import Device
from runtime.sandbox.comfyui.faults import Faults, UnknownFault
from runtime.sandbox.comfyui.files_http import Upload
from runtime.sandbox.comfyui.pace import Pace
from runtime.sandbox.comfyui.server import SandboxComfyUI

__all__ = ["Device", "Faults", "Pace", "SandboxComfyUI", "UnknownFault", "Upload"]
