"""A server for a test.

>>> from millstream.testing import server
>>> with server() as mill, mill.connect() as connection:
...     connection.query("CREATE TABLE flights (id BIGINT)")

For pytest, ``pytest_plugins = ["millstream.testing.plugin"]`` in ``conftest.py`` gives the fixture ``millstream_server``."""

from ._server import Server, find_program, server

__all__ = ["Server", "find_program", "server"]
