"""The document says what is so. That requests by it are answered as it says: see test_deployment."""

from pathlib import Path

import jsonschema_rs

from runtime.functions import errors
from runtime.functions.errors import Refused
from runtime.functions.job_errors import CODES
from runtime.functions.views import STATES
from tests.functions.service import FLUX, Service

GUIDE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


async def test_whoever_shows_a_token_sees_its_functions_by_name(service: Service) -> None:
    token = await service.token(commands=["flux", "qwen"])

    generic = (await service.get("/openapi.json")).json
    own = (await service.get("/openapi.json", token)).json

    assert "/functions/{command}" in generic["paths"]
    assert {path for path in own["paths"] if path.startswith("/functions/")} == {"/functions/flux", "/functions/qwen"}
    assert own["openapi"].startswith("3.1")
    assert own["servers"] == [{"url": "/v1"}]
    assert own["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert all(one["security"] == [{"token": []}] for path in own["paths"].values() for one in path.values())


async def test_examples_are_valid_and_answers_fit_their_schema(service: Service, token: str) -> None:
    document = (await service.get("/openapi.json", token)).json
    for command in ("flux", "qwen", "sd3", "wan"):
        content = document["paths"][f"/functions/{command}"]["post"]["requestBody"]["content"]["application/json"]
        jsonschema_rs.validate(content["schema"], content["examples"]["example"]["value"])
        listed = (await service.get("/functions", token)).json["functions"]
        assert content["schema"] == next(one["request_schema"] for one in listed if one["name"] == command)

    def validate(name: str, value: object) -> None:
        jsonschema_rs.validate({"$ref": f"#/components/schemas/{name}", "components": document["components"]}, value)

    validate("JobView", (await service.ask(token, body=FLUX)).json)
    validate("Problem", (await service.ask(token, body={})).json)
    validate("JobPage", (await service.get("/jobs", token)).json)


async def test_every_refusal_of_a_route_is_documented_with_its_retry(service: Service, token: str) -> None:
    document = (await service.get("/openapi.json", token)).json

    for path in document["paths"].values():
        for operation in path.values():
            assert {"401", "403", "429", "503"} <= operation["responses"].keys()
            assert "HTTPValidationError" not in str(operation)
            assert operation["responses"]["429"]["headers"]["Retry-After"]
            for status, answer in operation["responses"].items():
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"]


def test_every_refusal_has_a_code_of_its_own_and_the_guide_names_all_codes() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Refused)]
    codes = {kind.code for kind in kinds if kind is not Refused}

    assert [code for code in (*codes, *CODES, *STATES) if f"`{code}`" not in GUIDE] == []
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)
