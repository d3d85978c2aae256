"""Start engage and send it generated operations of its whole schema, as callers of every role; `make fuzz`.

Documents are schemathesis's, some of them spoilt on the way. Each is answered in time with data or with errors of
known codes: no server error, no hang, and not a word about what is inside.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes
from rich.progress import track

from tests.e2e.programs import Dev, dev_running

SCHEMA = Path(__file__).parents[2] / "schema.graphql"
TIMEOUT_S = 20.0
OURS = {"INTERNAL", "TIMEOUT", "UNAVAILABLE", "OUTCOME_UNKNOWN"}
"""Codes that would tell of a fault of ours: nothing is away, and nothing takes long."""

INSIDE = ("traceback", "asyncpg", "sqlstate", "errno", "strawberry", "engage_app", ".py")
SPOILS = ("", "{", "}", "$", "\\u0000", '"', "...", "@", "-1", "é")

SCALARS = {
    "DateTime": st.sampled_from(["2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "now"]),
    "Date": st.sampled_from(["2026-01-01", "9999-12-31", "today", ""]),
    "Amount": st.one_of(st.decimals(allow_nan=False, allow_infinity=False).map(str), st.text(max_size=20)),
}
POINTS = st.one_of(st.integers(-10, 10), st.integers(-(2**70), 2**70))


@dataclass
class Fuzzing:
    """What has come back so far."""

    http: httpx.Client
    url: str
    tokens: dict[str, str]
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def send(self, query: str, role: str) -> None:
        """Send one document and look at the answer."""
        headers = {"Accept": "application/graphql-response+json"}
        if role in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        try:
            answer = self.http.post(self.url, json={"query": query}, headers=headers)
        except httpx.TimeoutException:
            self.faults.append(f"no answer within {TIMEOUT_S:.0f} s: {query}")
            return
        found = [error["extensions"]["code"] for error in answer.json().get("errors", [])]
        self.codes.update(found or ["answered"])
        told = answer.text.lower()
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or OURS & {*found} or leaked(told, query):
            self.faults.append(f"{role}: {query}\n  {answer.status_code} {answer.text[:500]}")


def leaked(told: str, query: str) -> bool:
    """Whether an answer holds a word of what is inside that was not in the question."""
    return any(word in told and word not in query.lower() for word in INSIDE)


def operations() -> Iterator[Any]:
    """schemathesis's operations: each field of Query and Mutation."""
    for name, values in SCALARS.items():
        schemathesis.graphql.scalar(name, values.map(nodes.String))
    schemathesis.graphql.scalar("Points", POINTS.map(nodes.Int))
    found: Any = schemathesis.graphql.from_file(SCHEMA.read_text())
    for result in found.get_all_operations():
        yield result.ok()


def fuzz(fuzzing: Fuzzing, operation: Any, cases: int) -> None:
    """Send so many documents of one operation."""
    roles = st.sampled_from([*fuzzing.tokens, "nobody"])
    spoilt = st.one_of(st.none(), st.none(), st.none(), st.tuples(st.floats(0, 1), st.sampled_from(SPOILS)))

    @settings(
        max_examples=cases, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(), role=roles, spoil=spoilt)
    def one(case: Any, role: str, spoil: tuple[float, str] | None) -> None:
        query = case.body["query"] if isinstance(case.body, dict) else case.body
        if spoil is not None:
            at = int(spoil[0] * len(query))
            query = query[:at] + spoil[1] + query[at + 1 :]
        fuzzing.send(query, role)

    one()


def run(dev: Dev, cases: int) -> Fuzzing:
    """All operations, so many cases together at the least."""
    chosen = list(operations())
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as http:
        fuzzing = Fuzzing(http, dev.info["url"], dev.info["tokens"])
        for operation in track(chosen, description="fuzzing"):
            fuzz(fuzzing, operation, -(-cases // len(chosen)))
    if "unexpected error" in (dev.folder / "gateway.log").read_text():
        fuzzing.faults.append("gateway.log tells of unexpected errors")
    return fuzzing


def main() -> int:
    """Answers the exit code: 0 when nothing was wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000, help="how many documents to send at the least")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, dev_running(Path(place) / "dev") as dev:
        fuzzing = run(dev, wanted.cases)
    sys.stdout.write(f"{fuzzing.codes.total()} answers: {dict(fuzzing.codes.most_common())}\n")
    for fault in fuzzing.faults[:20]:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(f"{len(fuzzing.faults)} faults\n")
    return bool(fuzzing.faults)


if __name__ == "__main__":
    sys.exit(main())
