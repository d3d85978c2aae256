"""GraphiQL: there for developers, with all that it needs from the gateway itself, and not in production."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from engage.api import ide
from tests.api.clients import HttpClient
from tests.api.gateway import Gateway

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
HOST = re.compile(r"(?:https?|wss?):|//[a-z]", re.IGNORECASE)


async def named(http: HttpClient) -> list[str]:
    """The addresses that the page names, less those that hold their content."""
    page = await http.raw.get("/graphql", headers=BROWSER)
    assert page.status_code == 200, page.text
    found = re.findall(r'\b(?:src|href)="([^"]+)"', page.text)
    return [address for address in found if not address.startswith("data:")]


async def test_the_page_and_all_that_it_names_are_served(http: HttpClient) -> None:
    addresses = await named(http)
    assert len(addresses) == len(set(addresses)) == len(ide.WHEELS_FILES + ide.OWN_FILES)
    for address in addresses:
        answer = await http.raw.get(f"/{address}")
        assert (answer.status_code, answer.headers["cache-control"]) == (200, ide.KEPT), address
        kind = "text/css" if address.endswith(".css") else "text/javascript"
        assert answer.headers["content-type"].startswith(kind), address
        assert answer.content


async def test_the_page_itself_is_not_kept(http: HttpClient) -> None:
    page = await http.raw.get("/graphql", headers=BROWSER)
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-type"] == "text/html; charset=utf-8"


async def test_addresses_are_relative_so_that_a_proxy_may_add_a_prefix(http: HttpClient) -> None:
    assert all(re.fullmatch(r"graphql/ide/[0-9a-f]{16}/[\w.-]+", address) for address in await named(http))


async def test_no_foreign_host_is_named(http: HttpClient) -> None:
    page = (await http.raw.get("/graphql", headers=BROWSER)).text
    own = [(await http.raw.get(f"/{one}")).text for one in await named(http) if one.endswith(ide.OWN_FILES)]
    assert len(own) == len(ide.OWN_FILES)
    for text in (page, *own):
        assert HOST.findall(text) == []


async def test_the_policy_lets_nothing_in_from_elsewhere(http: HttpClient) -> None:
    answer = await http.raw.get("/graphql", headers=BROWSER)
    policy = {
        name: rest.split() for name, _, rest in map(divided, answer.headers["content-security-policy"].split(";"))
    }
    assert policy["default-src"] == ["'self'"]
    assert policy.get("script-src", ["'self'"]) == ["'self'"]
    assert policy.get("connect-src", ["'self'"]) == ["'self'"]
    assert {"frame-ancestors", "base-uri", "object-src", "form-action"} <= {*policy}
    everywhere = {source for sources in policy.values() for source in sources}
    assert everywhere <= {"'self'", "'none'", "data:", "'unsafe-inline'"}
    assert "<script>" not in answer.text
    assert not re.search(r"\bon\w+=", answer.text)


def divided(directive: str) -> tuple[str, str, str]:
    return directive.strip().partition(" ")


async def test_in_production_there_is_neither_page_nor_file(
    http: HttpClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = await named(http)
    monkeypatch.setattr(gateway.config, "development", False)
    for address in ("graphql", *addresses):
        answer = await http.raw.get(f"/{address}", headers=BROWSER)
        assert answer.status_code == 404, address
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["page.html", "__init__.py", "..%2F__init__.py", "%2e%2e", "nothing.js"])
async def test_other_files_are_not_served(http: HttpClient, name: str) -> None:
    folder = (await named(http))[0].rpartition("/")[0]
    assert (await http.raw.get(f"/{folder}/{name}")).status_code == 404


async def test_a_file_has_no_other_address(http: HttpClient) -> None:
    assert (await http.raw.get("/graphql/ide/0000000000000000/start.js")).status_code == 404


@pytest.fixture
def without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(ide, "WHEEL", "not_installed_here")
    ide._files.cache_clear()
    yield
    ide._files.cache_clear()


@pytest.mark.usefixtures("without_the_wheel")
async def test_an_installation_without_it_says_what_to_install(http: HttpClient) -> None:
    answer = await http.raw.get("/graphql", headers=BROWSER)
    assert answer.status_code == 404
    assert "engage[embedded]" in answer.text
