"""The image: read from its Dockerfile, with its health check and its commands run for real."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from packaging.utils import canonicalize_name

from tests.house.repository import BIN, ROOT
from tests.house.test_deploy import DEPLOY, OWN
from tests.house.test_locks import versions

DOCKERFILE = DEPLOY / "Dockerfile"
Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """The instructions of each stage: name and arguments, continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in joined.splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            if name == "FROM":
                found.append([])
            found[-1].append((name, arguments.strip()))
    return found


def final(name: str) -> str:
    """The arguments of the only such instruction of the stage that is shipped."""
    (arguments,) = [arguments for found, arguments in stages()[-1] if found == name]
    return arguments


def environment() -> dict[str, str]:
    """What ENV sets in the image that is shipped."""
    return dict(word.partition("=")[::2] for word in shlex.split(final("ENV")))


def test_the_base_is_pinned_and_the_same_in_every_stage() -> None:
    bases = {arguments.split()[0] for stage in stages() for name, arguments in stage if name == "FROM"}
    assert len(stages()) == 2
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", bases.pop())


def test_it_runs_as_a_numbered_user_who_is_not_root() -> None:
    user, group = final("USER").split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert f"--uid {user}" in DOCKERFILE.read_text()


def test_it_serves_on_all_addresses_and_stops_on_sigterm() -> None:
    assert json.loads(final("ENTRYPOINT")) == ["engage"]
    assert json.loads(final("CMD")) == ["serve"]
    assert final("STOPSIGNAL") == "SIGTERM"
    assert environment()["ENGAGE_HOST"] == "0.0.0.0"
    assert environment()["ENGAGE_PORT"] == final("EXPOSE") == "8000"


def test_everything_is_installed_with_hashes_or_offline() -> None:
    runs = " ".join(arguments for stage in stages() for name, arguments in stage if name == "RUN")
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&]+)", runs)
    assert len(installs) == 3
    assert all("--require-hashes" in words or "--no-index" in words for words in installs)


def test_what_is_copied_exists_and_is_let_through() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    admitted = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for stage in stages()
        for name, arguments in stage
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert copied == admitted
    assert all((ROOT / source).exists() for source in copied)
    assert not any(fnmatch(source, pattern) for source in copied for pattern in (".env*", ".git", "*.pem"))


def health_check(port: int, **more: str) -> int:
    """Exit code of the image's own check, with this Python in the place of the image's."""
    command: list[str] = json.loads(final("HEALTHCHECK").partition(" CMD ")[2])
    assert command[0] == "python"
    variables = {**os.environ, "ENGAGE_PORT": str(port), **more}
    done = subprocess.run([sys.executable, *command[1:]], env=variables, check=False, capture_output=True, timeout=60)
    return done.returncode


@contextmanager
def gateway(status: int) -> Iterator[int]:
    """A server on a free port whose /healthz answers with this status."""

    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/healthz" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
            """Say nothing: a test's output is for its failures."""

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_the_health_check_tells_a_healthy_gateway_from_a_sick_one(status: int, code: int) -> None:
    with gateway(status) as port:
        assert health_check(port) == code


def test_the_health_check_fails_where_nothing_listens_and_asks_no_proxy() -> None:
    with gateway(200) as port:
        pass
    assert health_check(port) != 0
    with gateway(200) as port:
        assert health_check(port, http_proxy="http://127.0.0.1:1") == 0


def commands() -> list[list[str]]:
    """Every engage command line in deploy/: of the services, their health checks and the README."""
    found = [service["command"] for service in OWN.values()]
    checks = [service.get("healthcheck", {}).get("test", []) for service in OWN.values()]
    found += [test[2:] for test in checks if test[1:2] == ["engage"]]
    for line in (DEPLOY / "README.md").read_text().splitlines():
        if line.startswith("docker compose run"):
            words = shlex.split(line, comments=True)
            service = next(number for number, word in enumerate(words) if word in OWN)
            found += [words[service + 1 :]] if words[service + 1 :] else []
    return sorted({tuple(words): words for words in found}.values())


def not_in_the_image() -> list[str]:
    """Modules of this environment that the image does not have."""
    present = {*versions(DEPLOY / "requirements.lock"), "engage"}
    return [
        module
        for module, packages in importlib.metadata.packages_distributions().items()
        if not {canonicalize_name(package) for package in packages} & present
    ]


# Asks each command for its help, which refuses unknown commands and options, with those modules out of reach.
ASK_FOR_HELP = """
import contextlib, io, json, sys
missing, commands = json.load(sys.stdin)
sys.modules.update(dict.fromkeys(missing))
from engage.cli import main
refused = {}
for words in commands:
    sys.argv = ["engage", *words, "--help"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    if code:
        refused[" ".join(words)] = said.getvalue()
print(json.dumps(refused))
"""


def test_every_command_that_is_named_exists_in_the_image() -> None:
    assert ["serve"] in commands()
    assert ["db", "epoch", "--new"] in commands()
    done = subprocess.run(
        [sys.executable, "-c", ASK_FOR_HELP],
        input=json.dumps([not_in_the_image(), commands()]),
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {}


@pytest.mark.parametrize(
    "command",
    [
        ["hadolint", "--failure-threshold", "style", "deploy/Dockerfile"],
        ["yamllint", "--strict", "--config-file", "deploy/.yamllint", "deploy/compose.yaml"],
    ],
    ids=lambda command: command[0],
)
def test_the_linters_find_nothing(command: list[str]) -> None:
    tool: Path = BIN / command[0]
    done = subprocess.run([tool, *command[1:]], cwd=ROOT, check=False, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
