"""Which column of a file holds what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engage.base.errors import InvalidInput
from engage.domains.earning.csvfiles.types import Layout, Record

LINE_COLUMN = "rejected_line"
REASON_COLUMN = "rejected_reason"
"""Columns that a file of rejected rows has at its end; an import of such a file, once corrected, ignores them."""

_SHOWN = 80  # characters of a key that are shown


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field stands in a row, and under which name; one that the file has not is in neither."""

    layout: Layout
    places: Mapping[str, int]
    names: Mapping[str, str]

    def name_of(self, path: Sequence[str] | None) -> str | None:
        """The file's own name of what a refusal is about."""
        known = self.layout.of_refusals
        field = known.get(".".join(path), known.get(path[0])) if path else None
        return None if field is None else self.names.get(field, field)

    def key_of(self, record: Record) -> dict[str, object]:
        """The key of a row by the name of its field, for layouts that have one."""
        field = self.layout.key
        return {} if field is None else {field: record.values[self.places[field]].strip()[:_SHOWN]}


def find_columns(header: Sequence[str], layout: Layout, mapping: Mapping[str, str]) -> Columns:
    """Find the fields of a layout in a header.

    `mapping` names columns that are called otherwise, or "" for one that is missing. Raises InvalidInput, which
    names what is wrong, for a mapping or a header that leaves a field open.
    """
    for field, name in mapping.items():
        if field not in layout.fields:
            raise InvalidInput(
                f"There is no field {field!r} to map; fields are {', '.join(layout.fields)}.", path=["mapping"]
            )
        if not name and field not in layout.omissible:
            raise InvalidInput(f"A file cannot do without {field}.", path=["mapping", field])
    wanted = {field: mapping.get(field, field) for field in layout.fields if mapping.get(field) != ""}
    missing = [
        field
        for field, name in wanted.items()
        if name not in header and (field in mapping or field not in layout.optional)
    ]
    if missing:
        raise InvalidInput(
            f"The header has no column {', '.join(repr(wanted[field]) for field in missing)}; "
            f"it has {', '.join(map(repr, header))}. "
            f"A column of another name is mapped: {missing[0]}=NAME.",
            path=["header"],
        )
    names = {field: name for field, name in wanted.items() if name in header}
    for name in names.values():
        if header.count(name) > 1:
            raise InvalidInput(f"The header names {name!r} twice.", path=["header"])
    return Columns(layout, {field: header.index(name) for field, name in names.items()}, names)
