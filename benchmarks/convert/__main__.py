"""How often `veilrun workflow convert` gives what ComfyUI's own front end exports, over a folder of workflows.

    python -m benchmarks.convert --front-end comfyui_frontend_package/static --templates DIR --object-info FILE

Nothing is fetched: unpack the wheels comfyui-frontend-package and comfyui-workflow-templates(-json) somewhere first.
FILE is what GET /object_info of a ComfyUI answered; without it, both sides use the descriptions that ship with veilrun.
`--save FILE` keeps the exports, `--exports FILE` compares with kept ones without a browser.
"""

import argparse
import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.convert.compare import compare
from benchmarks.convert.official import exported
from benchmarks.convert.server import serving
from runtime.workflow import is_ui_format
from runtime.workflow.shipped import shipped_descriptions


def main() -> None:
    """Export, compare, print the share and every workflow that differs."""
    options = _options()
    descriptions = _json(options.object_info) if options.object_info else shipped_descriptions()
    documents = {path.name: _json(path) for path in sorted(options.templates.glob("*.json"))}
    documents = {name: document for name, document in documents.items() if is_ui_format(document)}
    if options.exports:
        exports = _json(options.exports)
    else:
        files = [options.templates / name for name in documents]
        exports = asyncio.run(_exports(options.front_end, descriptions, files))
    if options.save:
        options.save.write_text(json.dumps(exports), encoding="utf-8")
    _print(documents, exports, descriptions)


def _print(documents: Mapping[str, Any], exports: Mapping[str, Any], descriptions: Mapping[str, Any]) -> None:
    counts: Counter[str] = Counter()
    for name, document in documents.items():
        comparison = compare(document, exports.get(name, "it is not among the kept exports"), descriptions)
        counts[comparison.verdict] += 1
        if comparison.verdict != "equal":
            shown = "; ".join(comparison.reasons[:3])
            more = f"; and {len(comparison.reasons) - 3} more" if len(comparison.reasons) > 3 else ""
            print(f"{comparison.verdict:<14} {name}: {shown}{more}")
    comparable = counts["equal"] + counts["differs"]
    print(f"\n{len(documents)} workflows, {len(descriptions)} node classes described")
    print(f"{counts['not described']} use classes, inputs or options that are not described: not compared")
    print(f"{counts['equal']} of {comparable} equal: {100 * counts['equal'] / max(comparable, 1):.1f} %")


async def _exports(front_end: Path, descriptions: Mapping[str, Any], files: list[Path]) -> dict[str, Any]:
    async with serving(front_end, descriptions) as address:
        return await asyncio.to_thread(lambda: {path.name: graph for path, graph in exported(address, files)})


def _json(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.convert", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--templates", type=Path, required=True, help="folder of workflows in the editor's format")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--front-end", type=Path, help="folder with the front end's index.html")
    source.add_argument("--exports", type=Path, help="exports that --save kept")
    parser.add_argument("--object-info", type=Path, help="answer of GET /object_info, as JSON, .gz too")
    parser.add_argument("--save", type=Path, help="keep the exports in this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
