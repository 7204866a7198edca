"""`veilrun plugins new`: a plugin package from a ComfyUI workflow."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from runtime.api import Graph
from runtime.cli.descriptions import CatalogFile, From, descriptions_of
from runtime.cli.output import AsJson, notices, print_json, print_table, screen
from runtime.comfyui import Catalogue
from runtime.scaffold import Analysis, NewPlugin, ScaffoldFailed, analyse, write_package
from runtime.scaffold.links import parts_of
from runtime.scaffold.naming import with_names
from runtime.scaffold.package import links_in
from runtime.workflow import check
from runtime.workflow.description import Descriptions
from runtime.workflow.reading import graph_of, read_document


def add_to(app: typer.Typer) -> None:
    """Register this command."""
    app.command("new", epilog="Example: veilrun plugins new acme-upscale --from workflow.json")(new)


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the package, like acme-upscale; /upscale becomes its command.")
    ],
    workflow: Annotated[
        Path,
        typer.Option(
            "--from", metavar="FILE", help="A ComfyUI workflow, as the editor saves it or as Export (API) does."
        ),
    ],
    command: Annotated[
        str | None, typer.Option("--command", metavar="NAME", help="The command's name, if not the package's.")
    ] = None,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="The folder in which the package's folder is made.")
    ] = Path(),
    vram_gb: Annotated[
        float,
        typer.Option("--vram-gb", min=0.1, max=1000, metavar="N", help="The smallest card that runs it, in GiB."),
    ] = 24.0,
    backend: From = None,
    catalog: CatalogFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a plugin package from a workflow.

    What a user may set is found by following the graph's links, and shown. The package passes its own tests at once,
    with no GPU and no Telegram; what a person has to look at stands in its README.
    """
    document = _document(workflow)
    descriptions = descriptions_of(backend, catalog)
    analysis = _checked(analyse(with_names(graph_of(document, workflow.name, descriptions))), descriptions)
    plugin = NewPlugin.named(name, analysis, command=command, vram_gb=vram_gb, links=dict(links_in(document)))
    folder = write_package(plugin, into)
    if as_json:
        print_json(_told(plugin, folder))
        return
    _show(analysis)
    screen.print(f"\n/{plugin.command} is in {folder}", markup=False, soft_wrap=True)
    notices.print(f"Next: cd {folder} && pytest", markup=False, soft_wrap=True)


def _checked(analysis: Analysis, descriptions: Descriptions) -> Analysis:
    """With everything that a ComfyUI would refuse among the doubts; custom nodes that are not described pass."""
    findings = check(analysis.graph, Catalogue.parse(descriptions), knows_files=False)
    wrong = [str(finding) for finding in findings if finding.kind not in ("unknown_class", "no_outputs")]
    return replace(analysis, doubts=(*analysis.doubts, *wrong))


def _document(path: Path) -> object:
    try:
        return read_document(path)
    except OSError as error:
        raise ScaffoldFailed(f"{path} cannot be read: {error.strerror}; name a workflow with --from") from error


def _show(analysis: Analysis) -> None:
    rows = [
        [one.name, "\n".join(one.places), _shortened(one.current), _class_of(analysis.graph, one.places[0])]
        for one in analysis.bindings
    ]
    print_table("what a user may set", ["parameter", "goes to", "now", "node"], rows)
    rows = [["result", analysis.output, analysis.kind, str(analysis.graph[analysis.output]["class_type"])]]
    print_table("what comes back", ["", "node", "kind", "class"], rows)
    if analysis.models:
        print_table(
            "model files that a ComfyUI needs",
            ["file", "folder", "named by"],
            [[model.name, model.folder or "?", model.place] for model in analysis.models],
        )
    for doubt in analysis.doubts:
        notices.print(f"look at: {doubt}", style="yellow", markup=False, soft_wrap=True)


def _class_of(graph: Graph, place: str) -> str:
    node, _ = parts_of(graph, place.partition(",")[0])
    return str(graph[node]["class_type"])


def _shortened(value: object) -> str:
    text = "×".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _told(plugin: NewPlugin, folder: Path) -> dict[str, object]:
    analysis = plugin.analysis
    return {
        "folder": str(folder),
        "command": plugin.command,
        "module": plugin.module,
        "bindings": [asdict(one) for one in analysis.bindings],
        "output": analysis.output,
        "kind": analysis.kind,
        "models": [asdict(model) for model in analysis.models],
        "doubts": list(analysis.doubts),
    }
