"""How a graph saves its pictures, so that no more of a job stays on the backend than its operator allows.

Facts (ComfyUI 0.3.64, nodes.py and websocket_image_save.py): PreviewImage is SaveImage into the temp folder, under a
name of its own choice. SaveImageWebsocket writes nothing. No node of ComfyUI's own saves a video anywhere but in the
output folder.
"""

from collections.abc import Container

from runtime.api import Graph
from runtime.comfyui.frames import SENDING_CLASS
from runtime.registry import Traces

TEMP_CLASS = "PreviewImage"
PICTURE_CLASSES = ("SaveImage", TEMP_CLASS)

MARK = "veilrun"
"""An input that PreviewImage does not have.

Inputs that a class does not declare are neither checked nor handed to the node (`validate_inputs` and `get_input_data`
in execution.py go by the declared ones), but they are in the signature under which its result is cached
(`get_immediate_node_signature` in comfy_execution/caching.py goes by those given). So with the prompt's id in it a
picture is written anew for each job, and never answered with the name of a file that may be gone.
"""


def upload_folder(traces: Traces) -> str:
    """The `type` with which inputs are uploaded."""
    return "input" if traces == "keep" else "temp"


def feasible(graph: Graph, traces: Traces, classes: Container[str]) -> Traces:
    """`traces`, or the next weaker policy that a server with these node classes can follow for this graph."""
    if all(node["class_type"] not in PICTURE_CLASSES for node in graph.values()):
        return traces
    if traces == "none" and SENDING_CLASS not in classes:
        traces = "temp"
    if traces == "temp" and TEMP_CLASS not in classes:
        traces = "keep"
    return traces


def save_as(graph: Graph, traces: Traces, prompt_id: str) -> Graph:
    """The graph with its pictures saved as `traces` says; `graph` itself stays as it is.

    Only the classes that ComfyUI brings are known here. What others save stays where they save it.
    """
    if traces == "keep":
        return graph
    changed = dict(graph)
    for name, node in graph.items():
        if node["class_type"] not in PICTURE_CLASSES:
            continue
        images = {key: value for key, value in node["inputs"].items() if key == "images"}
        if traces == "none":
            changed[name] = {**node, "class_type": SENDING_CLASS, "inputs": images}
        else:
            changed[name] = {**node, "class_type": TEMP_CLASS, "inputs": {**images, MARK: prompt_id}}
    return changed
