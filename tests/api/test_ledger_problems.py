"""Every problem of the ledger's mutations is reached, says what it should, and leaves everything as it was."""

from __future__ import annotations

import pytest

from engage.base.actor import SYSTEM
from engage.domains.members import service as members
from tests.api.clients import HttpClient
from tests.api.conftest import People, Person
from tests.api.gateway import Gateway
from tests.api.ledger_cases import LEDGER_CASES
from tests.api.reaching import reach


@pytest.fixture(scope="module", autouse=True)
async def corner_shop(gateway: Gateway) -> None:
    assert gateway.port
    await members.create_store(SYSTEM, program="default", code="corner", name="The corner shop")


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(100)


@pytest.mark.parametrize(("name", "problem"), LEDGER_CASES)
async def test_each_problem_is_reached(
    http: HttpClient, people: People, member: Person, name: str, problem: str
) -> None:
    await reach(http, people, member, name, problem, LEDGER_CASES[name, problem])
