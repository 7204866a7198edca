"""The OpenAPI 3.1 document: generated from the routes, and for whoever shows a token with a path for each function."""

import copy
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.api import Command, ImageInput, Parameter, Seed, Size, Text
from runtime.functions import PATH
from runtime.functions.schema import OPTIONS, images_schema, parameter_schema, request_schema
from webhooks.functions.problems import FaultModel, Problem

GENERIC = "/functions/{command}"

INTRODUCTION = """\
Run functions on GPUs. `POST /functions/{command}` gives a job; `GET /jobs/{job_id}` tells how it is, \
`GET /jobs/{job_id}/events` tells it as it happens, and with `callback_url` you are told when it is over, \
signed as [Standard Webhooks](https://www.standardwebhooks.com) has it. Results are artifacts, kept for \
a limited time. Errors are problem details (RFC 9457) with a `code`."""

REQUEST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "arguments": {"type": "object", "description": "by parameter name, see `request_schema` of the function"},
        "variant": {"type": "string"},
        "images": images_schema(0, 64),
        **OPTIONS,
    },
    "additionalProperties": False,
}
FORM: dict[str, Any] = {
    "type": "object",
    "description": "arguments by parameter name, written as in a chat; pictures as files, or as numbers of artifacts",
    "properties": {"variant": {"type": "string"}, "callback_url": OPTIONS["callback_url"]},
    "additionalProperties": True,
}
EXAMPLE = {"arguments": {"prompt": "an astronaut on a beach", "seed": 7}}
JOB_WEBHOOK: dict[str, Any] = {
    "type": "object",
    "properties": {
        "type": {"enum": ["job.succeeded", "job.failed", "job.cancelled"]},
        "timestamp": {"type": ["string", "null"], "format": "date-time"},
        "data": {"$ref": "#/components/schemas/JobView"},
    },
    "required": ["type", "timestamp", "data"],
}


def generic_document(app: FastAPI) -> dict[str, Any]:
    """The document without any function by name; made once, do not change it."""
    document = get_openapi(
        title="veilrun functions",
        version="1",
        openapi_version="3.1.0",
        description=INTRODUCTION,
        routes=app.routes,
        separate_input_output_schemas=False,
    )
    document["servers"] = [{"url": PATH}]
    schemas = document["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for model in (Problem, FaultModel):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schema.pop("$defs", None)
        schemas[model.__name__] = schema
    operation = document["paths"][GENERIC]["post"]
    operation["requestBody"] = _body(REQUEST, FORM, EXAMPLE)
    operation["callbacks"] = {"result": {"{$request.body#/callback_url}": {"post": _webhook()}}}
    return document


def document_for(generic: dict[str, Any], commands: Iterable[Command]) -> dict[str, Any]:
    """The document with a path for each of these functions, in place of the one for any."""
    document = copy.deepcopy(generic)
    path = document["paths"].pop(GENERIC)
    for command in commands:
        operation = copy.deepcopy(path["post"])
        operation["operationId"] = f"invoke_{command.name}"
        operation["summary"] = command.summary
        operation["parameters"] = [one for one in operation["parameters"] if one["in"] != "path"]
        operation["requestBody"] = _body(request_schema(command), form_schema(command), example_of(command))
        document["paths"][f"/functions/{command.name}"] = {"post": operation}
    return document


def example_of(command: Command) -> dict[str, Any]:
    """A request that works, but for its artifact, which is the caller's own."""
    arguments: dict[str, Any] = {}
    for parameter in command.parameters:
        if isinstance(parameter, Text) and parameter.positional:
            arguments[parameter.name] = command.example.partition(" --")[0] or "an astronaut"
        elif isinstance(parameter, Seed):
            arguments[parameter.name] = 7
        elif isinstance(parameter, Size):
            arguments[parameter.name] = list(parameter.default)
    wanted = command.image_input
    images = [{"artifact_id": 12}] * wanted.low if wanted else []
    return {"arguments": arguments, "images": images} if images else {"arguments": arguments}


def form_schema(command: Command) -> dict[str, Any]:
    """The same request as fields of a form."""
    properties: dict[str, Any] = {}
    for parameter in command.parameters:
        if isinstance(parameter, ImageInput):
            file = {"type": "string", "format": "binary"}
            properties[parameter.name] = {"type": "array", "items": file, "maxItems": parameter.high}
        else:
            properties[parameter.name] = _written(parameter)
    if command.variants:
        properties["variant"] = {"enum": [variant.name for variant in command.variants]}
    properties["callback_url"] = OPTIONS["callback_url"]
    required = [p.name for p in command.parameters if isinstance(p, Text) and p.positional and p.default is None]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _written(parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, Size):
        default = parameter.written(list(parameter.default))
        return {"type": "string", "description": "as in 1024x768", "examples": [default]}
    return parameter_schema(parameter)


def _body(request: dict[str, Any], form: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    return {
        "required": True,
        "content": {
            "application/json": {"schema": request, "examples": {"example": {"value": example}}},
            "multipart/form-data": {"schema": form},
        },
    }


def _webhook() -> dict[str, Any]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    return {
        "summary": "The job is over. At least once: go by webhook-id",
        "parameters": [
            {"name": name, "in": "header", "required": True, "schema": {"type": "string"}} for name in names
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": JOB_WEBHOOK}}},
        "responses": {"2XX": {"description": "Understood; anything else is tried again"}},
    }
