from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.programs import Dev, dev_running
from tests.embedded.conftest import quick_folder


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A private folder for data folders, in memory if there is room."""
    with quick_folder() as folder:
        folder.chmod(0o711)  # as root without namespaces the servers are `nobody`
        yield folder


@pytest.fixture(scope="session")
def dev(place: Path) -> Iterator[Dev]:
    """An `engage dev`, the same for all who leave it well."""
    with dev_running(place / "shared") as running:
        yield running
