"""Requests over HTTP, of a consumer or a checkback handler that asks for the capability "http", and for each host.

    BatchConsumer = consumer_plugin(…, hosts=["hooks.example.com"])
    answer = http.send("POST", url, headers={"content-type": "application/json"}, body=json.dumps(alert))

A request is not part of what a call commits: a call that is made again, after a crash too, sends it again. Give the receiver a key by
which it knows a repeat; topic, partition and offset of a row stay the same.
"""

from componentize_py_types import Err
from wit_world.imports import http

__all__ = ["RequestError", "Response", "send"]

_KINDS = {
    http.Error_Denied: "denied", http.Error_Invalid: "invalid", http.Error_Unreachable: "unreachable",
    http.Error_TimedOut: "timed-out", http.Error_TooLarge: "too-large",
}
_SAID = {"timed-out": "no answer in time", "too-large": "the request or its answer is too large"}


class RequestError(RuntimeError):
    """Nothing came back. `kind` is "denied", "invalid", "unreachable", "timed-out" or "too-large"; what is unreachable or timed out
    may be there later."""

    def __init__(self, kind, why):
        super().__init__(why)
        self.kind = kind


class Response:
    """What came back, of any `status`: `headers`, a list of (name, value) with names in lower case, and `body`, bytes."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, wanted):
        """The first header of a name, in lower case; None if there is none."""
        return next((value for name, value in self.headers if name == wanted), None)

    def text(self):
        return str(self.body, "utf-8")


def send(method, url, *, headers=None, body=b"", timeout_ms=0):
    """Sends a request and waits for the whole answer, as long as the call may take or `timeout_ms`. The body is a text or bytes.
    Redirections are not followed."""
    sent = [http.Header(name, str(value)) for name, value in (headers or {}).items()]
    request = http.Request(method, url, sent, body.encode() if isinstance(body, str) else body, timeout_ms)
    try:
        answer = http.send(request)
    except Err as error:
        kind = _KINDS[type(error.value)]
        raise RequestError(kind, _SAID.get(kind) or error.value.value) from None
    return Response(answer.status, [(header.name, header.value) for header in answer.headers], answer.body)
