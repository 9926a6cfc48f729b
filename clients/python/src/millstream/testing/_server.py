"""One server process, from its first line to its end."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from .._transport import Token
from ..connection import Connection
from ..errors import Unavailable

_STOP_TIMEOUT_S = 60.0
#: Whoever has closed its output, or is late, is about to end.
_END_TIMEOUT_S = 5.0
#: What of the log is told when there is no server.
_LOG_CHARS = 2000


def find_program() -> str:
    """The program that ``MILLSTREAM_BIN`` names, or ``millstream`` on the PATH. Raises ``FileNotFoundError`` if there is none."""
    named = os.environ.get("MILLSTREAM_BIN")
    found = shutil.which(named or "millstream")
    if found is None:
        where = f"MILLSTREAM_BIN names {named!r}, which" if named else "millstream"
        raise FileNotFoundError(f"{where} is not a program; install the server, or set MILLSTREAM_BIN to where it is")
    return found


@contextlib.contextmanager
def server(
    *options: str,
    data: str | os.PathLike[str] | None = None,
    program: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Iterator[Server]:
    """A server on free ports of this machine, stopped at the end of the block.

    :param options: of ``millstream serve``, beside those of data and addresses.
    :param data: the data directory; without one it is a temporary one, and goes with the server.
    :param program: the program; without one it is looked for, as :func:`find_program` does.
    :param env: variables of the environment beside those that there are.
    :param timeout_s: how long it may take to be ready.
    :raises FileNotFoundError: there is no such program.
    :raises Unavailable: the server has ended, or was not ready in time; the message ends with its log."""
    with contextlib.ExitStack() as stack:
        if data is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="millstream-", ignore_cleanup_errors=True))
            data = Path(folder, "data")
        started = Server(Path(data), options, program or find_program(), env or {}, timeout_s)
        stack.callback(started.stop)
        started.start()
        yield started


class Server:
    """A server process; :func:`server` makes one."""

    #: Where clients connect: ``grpc://host:port``.
    url: str
    #: Where HTTP requests go: ``http://host:port``.
    http_url: str

    def __init__(
        self, data: Path, options: tuple[str, ...], program: str, env: Mapping[str, str], timeout_s: float
    ) -> None:
        self.data = data
        self._options = options
        self._program = program
        self._env = {**os.environ, **env}
        self._timeout_s = timeout_s
        self._log_path = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[str] | None = None
        self.url = self.http_url = ""

    def start(self) -> None:
        """Starts it, after :meth:`kill` or :meth:`stop` at the same addresses. Does nothing while it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        grpc, http = (url.partition("://")[2] or "127.0.0.1:0" for url in (self.url, self.http_url))
        command = [self._program, "serve", "--data", str(self.data), "--grpc", grpc, "--http", http]
        command += ["--remoting", "127.0.0.1:0", *self._options]
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True, env=self._env
            )
        assert self._process.stdout is not None
        lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(self._process.stdout, lines), daemon=True, name="millstream-server").start()
        try:
            word, *addresses = lines.get(timeout=self._timeout_s).split() or [""]
        except queue.Empty:
            word, addresses = "", []
        if word != "ready":
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT_S)
            ended = self._process.poll()
            self.kill()
            what = "was not ready in time" if ended is None else f"has ended with code {ended}"
            raise Unavailable(f"the server {what}; its log ends with:\n{self.log()[-_LOG_CHARS:]}", "retry")
        named = dict(address.split("=", 1) for address in addresses)
        self.url, self.http_url = f"grpc://{named['grpc']}", f"http://{named['http']}"

    def connect(
        self,
        *,
        user: str | None = None,
        password: str | None = None,
        token: Token | None = None,
        namespace: str | None = None,
    ) -> Connection:
        """A connection for SQL."""
        return Connection(self.url, user=user, password=password, token=token, namespace=namespace)

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Ends it in order, and gives its exit code, which is 0 if all is well."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.returncode

    def log(self) -> str:
        """What it has logged."""
        return self._log_path.read_text(errors="replace") if self._log_path.exists() else ""


def _read(output: IO[str], lines: queue.SimpleQueue[str]) -> None:
    """Takes what the server prints, so that it never waits for a reader; an empty line stands for the end."""
    with output:
        for line in output:
            lines.put(line)
    lines.put("")
