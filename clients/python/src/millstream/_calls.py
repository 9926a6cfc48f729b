"""What the server says of a call besides its status: the kind of an error, by name."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from types import TracebackType

import pyarrow.flight as flight

from .errors import MillstreamError, from_arrow

_ERROR_KIND = "millstream-error-kind"
_under_way = threading.local()


class Call:
    """One call. It is begun within a ``with`` block of this, and what is raised by it, also later by its streams, is translated
    by :meth:`error`."""

    def __init__(self) -> None:
        self.kind: str | None = None

    def __enter__(self) -> Call:
        _under_way.call = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _under_way.call = None

    def error(self, raised: BaseException) -> MillstreamError:
        """The exception for what pyarrow has raised."""
        return from_arrow(raised, self.kind)


class Calls(flight.ClientMiddlewareFactory):  # type: ignore[misc]
    """Gives each call of a client its :class:`Call`. A call is begun by the thread that asks for it, whoever reads it later."""

    def start_call(self, info: flight.CallInfo) -> flight.ClientMiddleware | None:
        """For pyarrow."""
        call: Call | None = getattr(_under_way, "call", None)
        return _Headers(call) if call is not None else None


class _Headers(flight.ClientMiddleware):  # type: ignore[misc]
    """The headers and trailers of one call."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._call = call

    def received_headers(self, headers: Mapping[str, Sequence[str | bytes]]) -> None:
        for value in headers.get(_ERROR_KIND, ()):
            self._call.kind = value if isinstance(value, str) else value.decode("ascii", "replace")
