"""The battery is played once for all tests that look at it."""

import asyncio

import pytest

from runtime.leaks import CaptureMissing, Finding, NamespaceForbidden, check_leaks


async def collect(*around: str) -> dict[str, Finding]:
    return {finding.scenario: finding async for finding in check_leaks(*around)}


@pytest.fixture(scope="session")
def findings() -> dict[str, Finding]:
    try:
        return asyncio.run(collect())
    except (NamespaceForbidden, CaptureMissing) as error:
        pytest.skip(str(error))
