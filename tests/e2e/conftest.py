"""Runs the real binary. `make test` sets MILLSTREAM_BIN, MILLSTREAM_GUESTS_DIR and the PATH to the S3 server."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "clients/python/src"))

FLIGHTS = ROOT / "examples/data/flights.parquet"
BIN = os.environ.get("MILLSTREAM_BIN", str(ROOT / "target/debug/millstream"))


class Server:
    """One server process over a data directory; free ports."""

    def __init__(self, data: Path, *options: str, env: dict[str, str] | None = None):
        self.data = data
        self.options = options
        self.env = {**os.environ, **(env or {})}
        self.start()

    def start(self, grpc: str = "127.0.0.1:0", remoting: str = "127.0.0.1:0") -> None:
        command = [BIN, "serve", "--data", str(self.data), "--grpc", grpc, "--http", "127.0.0.1:0"]
        command += ["--remoting", remoting, *self.options]
        self.log = open(f"{self.data}.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.env)
        line = self.process.stdout.readline().split()
        assert line and line[0] == "ready", f"no ready line; {Path(f'{self.data}.log').read_text()[-2000:]}"
        addresses = dict(part.split("=", 1) for part in line[1:])
        self.grpc, self.http, self.remoting = addresses["grpc"], addresses["http"], addresses["remoting"]
        self.fingerprint = addresses.get("tls")

    @property
    def url(self) -> str:
        return f"grpc://{self.grpc}"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def cli(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run([BIN, *arguments, "--url", self.url], capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout if check else done

    def rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))


class Proxy:
    """A wire to an address that can be cut."""

    def __init__(self, address: str):
        host, port = address.rsplit(":", 1)
        self._target = (host, int(port))
        self._down = False
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"grpc://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Breaks every connection."""
        pairs, self._pairs = self._pairs, []
        for end in pairs:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # closed already
            end.close()

    def cut_off(self) -> None:
        """Breaks every connection, and lets no new ones through until :meth:`mend`."""
        self._down = True
        self.cut()

    def mend(self) -> None:
        self._down = False

    def close(self) -> None:
        self.cut_off()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._down:
                near.close()
                continue
            far = socket.create_connection(self._target)
            self._pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut


@pytest.fixture
def proxy():
    """Wires to addresses."""
    proxies: list[Proxy] = []

    def start(address: str) -> Proxy:
        proxies.append(Proxy(address))
        return proxies[-1]

    yield start
    for each in proxies:
        each.close()


@pytest.fixture
def serve(tmp_path):
    """Starts servers; ends them when the test does."""
    servers: list[Server] = []

    def start(*options: str, name: str = "data", env: dict[str, str] | None = None) -> Server:
        servers.append(Server(tmp_path / name, *options, env=env))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture(scope="session")
def flights_server(tmp_path_factory):
    """A server with the flights in it, for tests that only read or use tables of their own."""
    server = Server(tmp_path_factory.mktemp("flights") / "data")
    server.cli("import", "flights", str(FLIGHTS), "--create")
    yield server
    assert server.stop() == 0


def seeded(seed: int | None = None) -> random.Random:
    """Chance that can be had again: the seed is printed, and ``SEED`` sets it."""
    seed = int(os.environ.get("SEED") or (random.randrange(2**32) if seed is None else seed))
    print(f"seed {seed}")
    return random.Random(seed)


def eventually(condition, timeout_s: float = 60.0, what: str = "the condition"):
    """Waits until ``condition()`` is true and gives its value."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come true within {timeout_s} s")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that is skipped has not been run: that is a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped tests count as failed: {report.longrepr}"
