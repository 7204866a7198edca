"""`veilrun workflow`: ComfyUI workflows as files, converted and checked without queueing them."""

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from runtime.cli.descriptions import CatalogFile, From, asked, descriptions_of
from runtime.cli.output import AsJson, Commands, notices, print_json, screen
from runtime.comfyui import Catalogue
from runtime.comfyui.preflight import MODEL_SUFFIXES
from runtime.workflow import WorkflowUnreadable, check, convert, is_ui_format
from runtime.workflow.convert import left_out
from runtime.workflow.reading import read_document
from runtime.workflow.shipped import compact

app = Commands(help="Convert ComfyUI workflows to API format, and check them.")


def add_to(parent: typer.Typer) -> None:
    """Register these commands."""
    parent.add_typer(app, name="workflow", epilog="Example: veilrun workflow check graph.json")


File = Annotated[Path, typer.Argument(metavar="FILE", help="A workflow: as the editor saves it, or in API format.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write; default standard output.")
]


@app.command("convert", epilog="Example: veilrun workflow convert ui.json -o graph.json")
def convert_file(file: File, output: Output = None, backend: From = None, catalog: CatalogFile = None) -> None:
    """Convert a workflow of the editor to API format.

    It gives what the editor's Export (API) gives. What is left out is said on standard error.
    """
    document = _document(file)
    if not is_ui_format(document):
        raise WorkflowUnreadable(f"{file.name} is no workflow of the editor; is it in API format already?")
    graph = convert(document, descriptions_of(backend, catalog))
    for line in left_out(document):
        notices.print(line, markup=False, soft_wrap=True)
    text = json.dumps(graph, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


@app.command("check", epilog="Example: veilrun workflow check graph.json --backend http://127.0.0.1:8188")
def check_file(file: File, backend: From = None, catalog: CatalogFile = None, as_json: AsJson = False) -> None:
    """Say what is wrong with a workflow, without posting it.

    Looked at are classes, links, types, ranges, choices and, with a backend, model files. Exit status 1 if anything
    is wrong.
    """
    document = _document(file)
    descriptions = descriptions_of(backend, catalog)
    graph = convert(document, descriptions) if is_ui_format(document) else document
    if isinstance(graph, dict) and isinstance(graph.get("prompt"), dict) and "class_type" not in graph["prompt"]:
        graph = graph["prompt"]
    findings = check(graph, Catalogue.parse(descriptions), knows_files=backend is not None or catalog is not None)
    if as_json:
        print_json({"ok": not findings, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            screen.print(str(finding), markup=False, soft_wrap=True)
        if not findings:
            screen.print(f"{len(graph)} nodes, nothing wrong")
            if backend is None and catalog is None:
                files = sorted({file for _, file in _files(graph)})
                notices.print(f"model files are not looked for without --backend: {', '.join(files) or 'none'}")
    raise typer.Exit(1 if findings else 0)


@app.command("catalog", epilog="Example: veilrun workflow catalog --backend http://127.0.0.1:8188 -o nodes.json.gz")
def save_catalog(
    backend: Annotated[
        str, typer.Option("--backend", "-b", metavar="NAME", help="The ComfyUI, by address or registry name.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; .gz packs it.")],
) -> None:
    """Save what a ComfyUI says of its nodes.

    With it, workflows are converted and checked while that ComfyUI is away.
    """
    entries = compact(asked(backend))
    text = json.dumps(entries, separators=(",", ":")).encode()
    output.write_bytes(gzip.compress(text, 9, mtime=0) if output.suffix == ".gz" else text)
    screen.print(f"{len(entries)} node classes are in {output}", markup=False, soft_wrap=True)


def _files(graph: dict[str, Any]) -> list[tuple[str, str]]:
    from runtime.workflow.check import model_files

    return model_files(graph, MODEL_SUFFIXES)


def _document(file: Path) -> Any:
    try:
        return read_document(file)
    except OSError as error:
        raise WorkflowUnreadable(f"{file} cannot be read: {error.strerror}") from error
