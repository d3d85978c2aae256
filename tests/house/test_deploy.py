"""deploy/: what would go wrong on a real engine, read from the files, since an engine is not always at hand."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import pytest
import yaml

from engage.base.settings import Settings
from engage.embedded.wheels import installed
from tests.conftest import Servers
from tests.house.repository import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE_TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if service["image"].startswith("engage:")}
RUN_TO_THE_END = {
    needed
    for service in SERVICES.values()
    for needed, how in service.get("depends_on", {}).items()
    if how["condition"] == "service_completed_successfully"
}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<operator>:?[-?+])?(?P<rest>[^}]*)\}")
PASSWORDS = ("ENGAGE_DATABASE_PASSWORD", "ENGAGE_APP_DATABASE_PASSWORD")
EACH = pytest.mark.parametrize("name", SERVICES)


def variables() -> list[re.Match[str]]:
    return list(VARIABLE.finditer(COMPOSE_TEXT))


def secrets() -> set[str]:
    return {found["name"] for found in variables() if re.search(r"SECRET|PASSWORD|TOKEN|KEY", found["name"])}


def test_the_services_are_those_that_the_readme_promises() -> None:
    assert set(SERVICES) == {"postgres", "valkey", "migrate", "gateway", "worker"}
    assert set(OWN) == {"migrate", "gateway", "worker"}
    assert {"migrate"} == RUN_TO_THE_END


@EACH
def test_every_service_is_health_checked_or_runs_to_its_end(name: str) -> None:
    service = SERVICES[name]
    check = service.get("healthcheck", {})
    if name in RUN_TO_THE_END:
        assert service["restart"] == "no"
        return
    assert service["restart"] == "unless-stopped"
    in_image = name in OWN and service["command"] == ["serve"]
    assert check.get("test", [""])[0] == "CMD" or in_image
    assert not check.get("disable")


@EACH
def test_nothing_starts_before_what_it_needs_is_ready(name: str) -> None:
    wanted = {
        needed: "service_completed_successfully" if needed in RUN_TO_THE_END else "service_healthy"
        for needed in SERVICES[name].get("depends_on", {})
    }
    assert {needed: how["condition"] for needed, how in SERVICES[name].get("depends_on", {}).items()} == wanted
    if name in {"gateway", "worker"}:
        assert set(wanted) == {"postgres", "valkey", "migrate"}


@EACH
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert not service.get("cap_add")
    assert not service.get("privileged")
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert name in OWN or service["user"] not in {"root", "0"}
    assert service["tmpfs"], "a read-only root needs somewhere to write"
    assert service["logging"]["options"]["max-size"]


@EACH
def test_images_are_pinned_to_a_version(name: str) -> None:
    if name in OWN:
        assert SERVICES[name]["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
    else:
        assert re.fullmatch(r"[a-z/]+:\d+(\.\d+)*-[a-z]+", SERVICES[name]["image"])


def test_only_the_gateway_is_published_and_to_this_machine_unless_told() -> None:
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"gateway"}
    assert SERVICES["gateway"]["ports"] == ["${ENGAGE_PUBLISH:-127.0.0.1:8000}:8000"]
    assert COMPOSE["networks"]["data"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if service["networks"] == ["data"]} >= {"postgres", "valkey"}


def test_what_must_last_lies_in_a_named_volume() -> None:
    volumes = {name: service["volumes"] for name, service in SERVICES.items() if service.get("volumes")}
    assert volumes == {
        "postgres": ["database:/var/lib/postgresql", "./roles.sql:/docker-entrypoint-initdb.d/roles.sql:ro"]
    }
    assert set(COMPOSE["volumes"]) == {"database"}


def test_compose_refuses_to_start_without_its_secrets() -> None:
    assert secrets() == {"ENGAGE_JWT_SECRET", "ENGAGE_SEALING_KEY", *PASSWORDS}
    for secret in secrets():
        uses = [found for found in variables() if found["name"] == secret]
        assert all(found["operator"] in {None, ":?"} for found in uses), f"{secret} has a default"
        sentences = [found["rest"] for found in uses if found["operator"] == ":?"]
        assert sentences, f"Compose would start without {secret}"
        assert all(secret in sentence and sentence.endswith(".") for sentence in sentences)


def test_the_example_names_every_variable_and_holds_no_secret() -> None:
    example = (DEPLOY / "env.example").read_text()
    named = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert set(named) == {found["name"] for found in variables()}
    assert {named[secret] for secret in secrets()} == {""}
    defaults = {found["name"]: found["rest"] for found in variables() if found["operator"] == ":-"}
    assert {name: named[name] for name in defaults} == defaults


def test_the_settings_that_are_given_exist() -> None:
    given = {setting for service in OWN.values() for setting in service["environment"]}
    given |= set(re.findall(r"\b(ENGAGE_[A-Z_]+)=", (DEPLOY / "Dockerfile").read_text()))
    given |= set(re.findall(r"`(ENGAGE_[A-Z_]+)`", (DEPLOY / "README.md").read_text()))
    given -= {*PASSWORDS, "ENGAGE_VERSION", "ENGAGE_PUBLISH"}  # read by Compose alone
    known = {f"ENGAGE_{name.upper()}" for name in Settings.model_fields}
    assert given
    assert given <= known


def test_only_the_gateway_holds_the_secret_of_the_tokens() -> None:
    assert {name for name, service in OWN.items() if "ENGAGE_JWT_SECRET" in service["environment"]} == {"gateway"}


def test_gateway_and_worker_open_what_the_other_has_sealed() -> None:
    keys = {name: service["environment"].get("ENGAGE_SEALING_KEY") for name, service in OWN.items()}
    assert keys["gateway"] == keys["worker"] is not None
    assert keys["migrate"] is None


def test_only_migrations_are_run_by_the_owner_of_the_database() -> None:
    environments = {name: service["environment"] for name, service in OWN.items()}
    users = {name: urlsplit(given["ENGAGE_DATABASE_URL"]).username for name, given in environments.items()}
    role = environments["migrate"]["ENGAGE_DATABASE_ROLE"]
    assert users == {"migrate": SERVICES["postgres"]["environment"]["POSTGRES_USER"], "gateway": role, "worker": role}
    assert users["migrate"] != role
    holders = {name for name in OWN if "ENGAGE_DATABASE_PASSWORD" in str(environments[name])}
    assert holders == {"migrate"}


async def test_the_role_of_gateway_and_worker_is_made_and_gets_another_password(
    servers: Servers, tmp_path: Path
) -> None:
    """By psql, as the image of PostgreSQL does it; under another name, since the server of the tests is shared."""
    role = OWN["migrate"]["environment"]["ENGAGE_DATABASE_ROLE"]
    name, script = f"engage_test_{token_hex(6)}", tmp_path / "roles.sql"
    text = (DEPLOY / "roles.sql").read_text()
    assert f"CREATE ROLE {role}'" in text
    assert "getenv password APP_PASSWORD" in text
    assert "APP_PASSWORD" in SERVICES["postgres"]["environment"]
    script.write_text(text.replace(role, name))
    parts = urlsplit(servers.database_url)
    place = parts.netloc.rpartition("@")[2]
    owner = await asyncpg.connect(servers.database_url)
    try:
        for password in ("first", "it's another"):
            given = os.environ | {"APP_PASSWORD": password}
            command: list[str | Path] = [
                installed().postgres.with_name("psql"),
                "--no-psqlrc",
                "--set=ON_ERROR_STOP=1",
                "--file",
                script,
                servers.database_url,
            ]
            await asyncio.to_thread(subprocess.run, command, env=given, check=True, capture_output=True, timeout=60)
            address = urlunsplit(parts._replace(netloc=f"{name}:{quote(password)}@{place}"))
            connection = await asyncpg.connect(address)
            await connection.close()
    finally:
        await owner.execute(f"DROP ROLE IF EXISTS {name}")
        await owner.close()
