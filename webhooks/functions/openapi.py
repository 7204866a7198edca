"""The OpenAPI 3.1 document: generated from the routes, and for whoever shows a token with a path for each function."""

import copy
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.api import Command, ImageInput, Parameter, Seed, Size, Text
from runtime.functions import PATH
from runtime.functions.schema import images_schema, json_options, options, parameter_schema, request_schema
from webhooks.functions.problems import FaultModel, Problem

GENERIC = "/functions/{command}"

INTRODUCTION = """\
Run functions on GPUs. `POST /functions/{command}` gives a job; `GET /jobs/{job_id}` tells how it is, \
`GET /jobs/{job_id}/events` tells it as it happens, and with `callback_url` you are told when it is over, \
signed as [Standard Webhooks](https://www.standardwebhooks.com) has it. Results are artifacts, kept for \
a limited time. Errors are problem details (RFC 9457) with a `code`."""

LINKS = {
    name: {"operationId": name, "parameters": {"job_id": "$response.body#/id"}}
    for name in ("get_job", "follow_job", "cancel_job")
}
ARTIFACT_LINKS = {"get_artifact": {"operationId": "get_artifact", "parameters": {"artifact_id": "$response.body#/id"}}}
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


def generic_document(app: FastAPI, *, has_callbacks: bool) -> dict[str, Any]:
    """The document without any function by name; made once, do not change it. has_callbacks: see `request_schema`."""
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
    for path in document["paths"].values():
        for one in path.values():
            one["parameters"] = [_parameter(parameter) for parameter in one.get("parameters", ())]
    operation = document["paths"][GENERIC]["post"]
    for status in ("200", "202"):
        operation["responses"][status]["links"] = LINKS
    document["paths"]["/artifacts"]["post"]["responses"]["201"]["links"] = ARTIFACT_LINKS
    operation["requestBody"] = _body(_any_request(has_callbacks), _any_form(has_callbacks), EXAMPLE)
    if has_callbacks:
        operation["callbacks"] = {"result": {"{$request.body#/callback_url}": {"post": _webhook()}}}
    return document


def document_for(generic: dict[str, Any], commands: Iterable[Command], *, has_callbacks: bool) -> dict[str, Any]:
    """The document with a path for each of these functions, in place of the one for any."""
    document = copy.deepcopy(generic)
    path = document["paths"].pop(GENERIC)
    for command in commands:
        operation = copy.deepcopy(path["post"])
        operation["operationId"] = f"invoke_{command.name}"
        operation["summary"] = command.summary
        operation["parameters"] = [one for one in operation["parameters"] if one["in"] != "path"]
        request = request_schema(command, has_callbacks=has_callbacks)
        form = form_schema(command, has_callbacks=has_callbacks)
        operation["requestBody"] = _body(request, form, example_of(command))
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


def form_schema(command: Command, *, has_callbacks: bool = True) -> dict[str, Any]:
    """The same request as fields of a form."""
    properties: dict[str, Any] = {}
    for parameter in command.parameters:
        if isinstance(parameter, ImageInput):
            files = {"type": "array", "items": {"type": "string", "format": "binary"}}
            properties[parameter.name] = files | {"minItems": parameter.low, "maxItems": parameter.high}
        else:
            properties[parameter.name] = _written(parameter)
    if command.variants:
        properties["variant"] = {"enum": [variant.name for variant in command.variants]}
    properties |= options(has_callbacks)
    required = [p.name for p in command.parameters if isinstance(p, Text) and p.positional and p.default is None]
    required += [p.name for p in command.parameters if isinstance(p, ImageInput) and p.low]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _written(parameter: Parameter) -> dict[str, Any]:
    schema = parameter_schema(parameter)
    if isinstance(parameter, Size):
        schema["description"] = "width and height; one field as in 1024x768 will do"
    return schema


def _any_request(has_callbacks: bool) -> dict[str, Any]:
    properties = {
        "arguments": {"type": "object", "description": "by parameter name, see `request_schema` of the function"},
        "variant": {"type": ["string", "null"]},
        "images": images_schema(0, 64),
    }
    return {"type": "object", "properties": properties | json_options(has_callbacks), "additionalProperties": False}


def _any_form(has_callbacks: bool) -> dict[str, Any]:
    return {
        "type": "object",
        "description": "arguments by parameter name, as in a chat; pictures as files, or as numbers of artifacts",
        "properties": {"variant": {"type": "string"}} | options(has_callbacks),
        "additionalProperties": True,
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    """What may be left out cannot be sent as null: a query and a header have no such thing."""
    schema = dict(parameter["schema"])
    kinds = [one for one in schema.pop("anyOf", ()) if one != {"type": "null"}]
    return parameter | {"schema": schema | (kinds[0] if kinds else {})}


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
