"""Examples of the API in the documents are right by the schema of this version."""

from __future__ import annotations

import pytest
from graphql import build_schema, parse, validate

from engage.api import schema as api
from tests.docs.blocks import Block, blocks_of
from tests.house.repository import ROOT

TUTORIAL = "FIRST-FEATURE.md"
"""What it shows is yet to be made; it has a test of its own."""

BLOCKS = [
    block
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if page.name != TUTORIAL
    for block in blocks_of(page)
    if block.info == "graphql"
]


@pytest.mark.parametrize("block", BLOCKS, ids=[block.where for block in BLOCKS])
def test_it_can_be_asked(block: Block) -> None:
    schema = build_schema(api.build_schema().as_str())
    assert [error.message for error in validate(schema, parse(block.text))] == []
