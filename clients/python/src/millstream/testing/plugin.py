"""Fixtures for pytest: ``pytest_plugins = ["millstream.testing.plugin"]`` in ``conftest.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ._server import Server, server


@pytest.fixture(scope="session")
def millstream_server() -> Iterator[Server]:
    """A server for all tests of the session. Tables of different tests need different names, or namespaces."""
    with server() as started:
        yield started
