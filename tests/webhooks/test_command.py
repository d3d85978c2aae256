"""`engage webhooks`, as operators type it."""

from __future__ import annotations

import re
import uuid

import pytest
from typer.testing import CliRunner, Result

from engage.api.relay import global_id
from engage.base.settings import Settings, settings
from engage.cli import app
from tests.api.hooks import URL
from tests.webhooks.telling import REGISTERED


class Terminal:
    """Types commands against a module's database."""

    def __init__(self, config: Settings) -> None:
        self._env = {
            "ENGAGE_DATABASE_URL": config.database_url,
            "ENGAGE_REDIS_URL": config.redis_url,
            "ENGAGE_REDIS_PREFIX": config.redis_prefix,
            "ENGAGE_JWT_SECRET": config.jwt_secret.get_secret_value(),
            "COLUMNS": "200",
        }

    def type(self, *words: str, **env: str) -> Result:
        settings.cache_clear()
        try:
            return CliRunner().invoke(app, ["webhooks", *words], env=self._env | env)
        finally:
            settings.cache_clear()

    def done(self, *words: str) -> str:
        found = self.type(*words)
        assert found.exit_code == 0, found.output
        return found.stdout


@pytest.fixture
def terminal(config: Settings, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    # Logs that are set up for a command would stay so for the tests after these.
    monkeypatch.setattr("engage.cli.connecting.set_up_logs", lambda _config: None)
    return Terminal(config)


def test_an_endpoint_from_the_command_line(terminal: Terminal) -> None:
    assert "There is no webhook endpoint" in terminal.done("list")
    said = terminal.done("add", URL, REGISTERED, "ledger.points_spent.v1", "--description", "Till")
    endpoint = re.search(r"id +(\S+)", said)
    assert endpoint is not None
    assert re.search(r"secret  whsec_\S{44}\n", said)
    given = endpoint[1]
    shown = terminal.done("list")
    for word in (given, "ACTIVE", REGISTERED, "ledger.points_spent.v1", URL):
        assert word in shown
    assert "whsec_" not in shown
    terminal.done("pause", given)
    assert "PAUSED" in terminal.done("list")
    terminal.done("resume", global_id("WebhookEndpoint", uuid.UUID(given)))
    assert "webhook-id" in terminal.done("test", given)
    assert "engage jobs show" in terminal.done("replay", given, "--since", "2026-06-01T12:00:00Z")
    assert "under way already" in terminal.done("replay", given, "--stream", "member:1", "--after", "3")
    assert "1 " in terminal.done("list")
    terminal.done("remove", given)
    assert "There is no webhook endpoint" in terminal.done("list")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["add", "https://127.0.0.1/", REGISTERED], 1, "private network"),
        (["add", URL, "no.event.v1"], 1, "There is no event 'no.event.v1'."),
        (["pause", str(uuid.uuid4())], 1, "There is no such webhook endpoint."),
        (["pause", "junk"], 2, "is no endpoint's id"),
        (["replay", str(uuid.uuid4()), "--since", "yesterday"], 2, "is no moment"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    terminal: Terminal, words: list[str], code: int, sentence: str
) -> None:
    found = terminal.type(*words)
    assert (found.exit_code, "Traceback" in found.output) == (code, False)
    assert sentence in found.stderr


def test_without_a_secret_to_seal_with_it_says_what_to_set(terminal: Terminal) -> None:
    found = terminal.type("add", URL, REGISTERED, ENGAGE_JWT_SECRET="")
    assert found.exit_code == 1
    assert "set ENGAGE_SEALING_KEY" in found.stderr
