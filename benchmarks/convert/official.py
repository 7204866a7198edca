"""What ComfyUI's own front end exports for workflow files: opened in headless Chromium, one after the other."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

EXPORT = """async (document) => {
    const app = window.app ?? window.comfyAPI.app.app;
    const quietly = {showMissingNodesDialog: false, showMissingModelsDialog: false};
    await app.loadGraphData(document, true, false, null, quietly);
    const {output} = await app.graphToPrompt();
    return JSON.stringify(output);
}"""


def exported(server: str, files: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """(file, graph) as the front end of the ComfyUI at `server` exports it; in place of a graph, why it did not."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            page = _opened(browser.new_page(), server)
            for file in files:
                try:
                    graph: dict[str, Any] = json.loads(
                        page.evaluate(EXPORT, json.loads(file.read_text(encoding="utf-8")))
                    )
                    yield file, graph
                except Exception as error:  # noqa: BLE001 - whatever a page throws is told beside the file
                    yield file, str(error).splitlines()[0]
        finally:
            browser.close()


def _opened(page: Page, server: str) -> Page:
    page.goto(server)
    page.wait_for_function("() => (window.app ?? window.comfyAPI?.app?.app)?.graph != null", timeout=120_000)
    page.wait_for_timeout(3000)
    return page
