"""What a server says about itself: node classes, model files, cards, features."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from runtime.sandbox.comfyui.catalogue import Catalogue

VERSION = "0.3.64"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Device:
    """A card as GET /system_stats reports it. `vram_gb` in GiB."""

    name: str = "cuda:0 NVIDIA GeForce RTX 5090 : cudaMallocAsync (sandbox)"
    vram_gb: float = 32.0
    type: str = "cuda"


class FactsHttp:
    """Handlers that only tell. `is_loaded`: whether models are in GPU memory now."""

    def __init__(
        self,
        catalogue: Catalogue,
        devices: Sequence[Device],
        features: dict[str, Any],
        is_loaded: Callable[[], bool],
    ) -> None:
        self._catalogue, self._devices, self._features, self._is_loaded = catalogue, devices, features, is_loaded

    async def object_info(self, request: web.Request) -> web.Response:
        """Every node class, or the one named; {} for an unknown one."""
        wanted = request.match_info.get("class_type")
        names = [name for name in self._catalogue if wanted in (None, name)]
        return web.json_response({name: self._catalogue.entry(name) for name in names})

    async def models(self, request: web.Request) -> web.Response:
        """The folders, or the files of one; 404 for an unknown folder."""
        folder = request.match_info.get("folder")
        if folder is None:
            return web.json_response(self._catalogue.folders())
        try:
            return web.json_response(self._catalogue.model_files(folder))
        except KeyError:
            return web.Response(status=404)

    async def features(self, _: web.Request) -> web.Response:
        return web.json_response(self._features)

    async def system_stats(self, _: web.Request) -> web.Response:
        """Memory figures are in bytes. A real server lists only the card it computes on."""
        system = {
            "os": os.name,
            "ram_total": 64 * GIB,
            "ram_free": 48 * GIB,
            "comfyui_version": VERSION,
            "required_frontend_version": "1.27.10",
            "installed_templates_version": "0.1.95",
            "required_templates_version": "0.1.95",
            "python_version": sys.version,
            "pytorch_version": "2.8.0+cu128",
            "embedded_python": False,
            "argv": ["main.py"],
        }
        free_share = 0.2 if self._is_loaded() else 0.95
        devices = [
            {
                "name": device.name,
                "type": device.type,
                "index": index,
                "vram_total": int(device.vram_gb * GIB),
                "vram_free": int(device.vram_gb * GIB * free_share),
                "torch_vram_total": 0,
                "torch_vram_free": 0,
            }
            for index, device in enumerate(self._devices)
        ]
        return web.json_response({"system": system, "devices": devices})
