"""`python -m runtime.sandbox.comfyui --port 8188`: the sandbox server as a process of its own."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from runtime.sandbox.comfyui.facts_http import Device
from runtime.sandbox.comfyui.server import SandboxComfyUI


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m runtime.sandbox.comfyui",
        description="A ComfyUI server that paints instead of rendering. Prints its address when it listens.",
        epilog="example: python -m runtime.sandbox.comfyui --port 8188 --pace 0.5 --previews",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--pace", type=float, default=1.0, help="factor on waiting times, 0 is as quick as possible")
    parser.add_argument("--root", type=Path, help="folder for input, output and temp; kept (default: a temporary one)")
    parser.add_argument("--vram", type=float, action="append", help="GiB of a card; give it again for another card")
    parser.add_argument("--blank", action="store_true", help="flat grey pictures, for measurements")
    parser.add_argument("--previews", action="store_true", help="previews while sampling")
    parser.add_argument("--disable-metadata", action="store_true", help="no graph in the saved files")
    parser.add_argument("--journal", type=Path, help="file to which every run is written, one JSON object a line")
    parser.add_argument("--start-delay", type=float, default=0.0, help="seconds before it listens")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    server = SandboxComfyUI(
        pace=options.pace,
        paints=not options.blank,
        root=options.root,
        devices=[Device(vram_gb=vram) for vram in options.vram or (24.0,)],
        has_previews=options.previews,
        has_metadata=not options.disable_metadata,
        journal=options.journal,
    )
    stopped = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopped.set)
    await asyncio.sleep(options.start_delay)
    await server.start(options.host, options.port)
    sys.stdout.write(f"sandbox ComfyUI on {server.url}\n")
    sys.stdout.flush()
    await stopped.wait()
    await server.stop()


if __name__ == "__main__":
    main()
