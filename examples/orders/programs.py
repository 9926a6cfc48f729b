"""The processes that the demo runs: a server, and programs with RocketMQ's clients. Each is ended by its process id, at the latest
when the demo ends; what they say besides is shown if something went wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Callable, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("MILLSTREAM_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "millstream")
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
BINARY = Path(os.environ.get("MILLSTREAM_BIN") or TARGET / "debug/millstream")
GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR") or TARGET / "guests")
JAVA_CLIENT = "4.9.8"
JARS = CACHE / "rocketmq" / JAVA_CLIENT

# How long anything may take before the demo is given up: far more than it takes.
PATIENCE_S = 60.0
LOOK_INTERVAL_S = 0.05
# What is shown of a program's output when something failed.
SHOWN_BYTES = 4000

Value = TypeVar("Value")


class Wrong(Exception):
    """What came out is not what must, or did not come; with what a program said, if that helps."""

    def __init__(self, what: str, said: str = ""):
        super().__init__(what)
        self.said = said


def step(title: str) -> None:
    print(f"\n== {title}", flush=True)


def tell(text: str) -> None:
    print(f"   {text}", flush=True)


def check(holds: bool, what: str) -> None:
    if not holds:
        raise Wrong(what)


def eventually(condition: Callable[[], Value], what: str) -> Value:
    """Waits until a condition gives something true, and gives that."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        check(time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s")
        time.sleep(LOOK_INTERVAL_S)
    return value


def tail(file: Path) -> str:
    return file.read_bytes()[-SHOWN_BYTES:].decode(errors="replace") if file.exists() else ""


class Stage:
    """A directory of the demo, and all that was started in it."""

    def __init__(self, directory: Path):
        self.directory, self.server_log = directory, directory / "server.log"
        self.started: list[subprocess.Popen[str]] = []

    def start(self, command: list[str], errors: Path) -> subprocess.Popen[str]:
        # The clients log into the home directory.
        env = {**os.environ, "HOME": str(self.directory)}
        with open(errors, "ab") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, bufsize=1, env=env,
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()

    def compile_java(self) -> None:
        command = ["javac", "-d", str(self.directory), "-cp", f"{JARS}/*", str(HERE / "Shop.java")]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Wrong("Shop.java was not compiled", done.stderr)

    def java(self, server: Server, part: str) -> Program:
        opened = ["--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
        options = ["-Drocketmq.client.logUseSlf4j=true", f"-Dlogback.configurationFile={HERE / 'logback.xml'}"]
        options += [f"-Duser.home={self.directory}", "-cp", f"{self.directory}:{JARS}/*"]
        return Program(self, f"java-{part}", ["java", *opened, *options, "Shop", server.remoting, part])

    def python(self, server: Server, part: str) -> Program:
        return Program(self, f"python-{part}", [sys.executable, str(HERE / "shop.py"), server.grpc, part])


class Program:
    """A program that takes lines and says lines."""

    def __init__(self, stage: Stage, name: str, command: list[str]):
        self.name = name
        self.lines: list[str] = []
        self._errors = stage.directory / f"{name}.err"
        self.process = stage.start(command, self._errors)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def give(self, lines: list[str]) -> None:
        assert self.process.stdin
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def wait_for(self, count: int) -> None:
        """Waits until it has said so many lines."""
        try:
            eventually(lambda: len(self.lines) >= count or self._has_failed(), self.name)
        except Wrong:
            said = f"{self.name} has said {len(self.lines)} lines and not {count} within {PATIENCE_S:.0f} s"
            raise Wrong(said, tail(self._errors)) from None
        if len(self.lines) < count:
            raise Wrong(f"{self.name} ended with {self.process.returncode}", tail(self._errors))

    def _has_failed(self) -> bool:
        # What it has said before it ended may still be on its way.
        return self.process.poll() is not None and not self._reader.is_alive()

    def finish(self) -> None:
        """Ends its input, and it must end in order."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Wrong(f"{self.name} did not end", tail(self._errors)) from None
        self._reader.join()
        if self.process.returncode != 0:
            raise Wrong(f"{self.name} ended with {self.process.returncode}", tail(self._errors))

    def kill(self) -> None:
        """SIGKILL: it says nothing to anybody."""
        self.process.kill()
        self.process.wait()


class Server:
    """A server over a directory, on free ports that it keeps when it is started again."""

    def __init__(self, stage: Stage):
        self._stage = stage
        self._data = stage.directory / "data"
        self._shown: set[str] = set()
        self.grpc = self.remoting = "127.0.0.1:0"
        self.start()

    def start(self) -> None:
        doors = ["--grpc", self.grpc, "--http", "127.0.0.1:0", "--remoting", self.remoting]
        self.process = self._stage.start([str(BINARY), "serve", "--data", str(self._data), *doors], self._stage.server_log)
        assert self.process.stdout
        line = self.process.stdout.readline().split()
        check(line[:1] == ["ready"], "the server did not start")
        addresses = dict(part.split("=", 1) for part in line[1:])
        self.grpc, self.remoting = addresses["grpc"], addresses["remoting"]

    def kill(self) -> None:
        """SIGKILL: nothing is flushed and nothing is said."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, and it must end in order."""
        self.process.terminate()
        try:
            ended = self.process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Wrong("the server did not end in order") from None
        check(ended == 0, f"the server ended with {ended}")

    def sql(self, statement: str) -> list[dict]:
        """Shows a statement, the first time, and gives its rows."""
        if statement not in self._shown:
            self._shown.add(statement)
            shown = textwrap.wrap(statement, 120, break_long_words=False, break_on_hyphens=False)
            tell("\n          ".join(["sql> " + shown[0], *shown[1:]]))
        return [json.loads(line) for line in self._run("sql", "--format", "json", "-c", statement).splitlines()]

    def load_plugin(self, name: str, module: str, *options: str) -> None:
        tell(" ".join(["$ millstream plugin load", name, module, *options]))
        self._run("plugin", "load", name, str(GUESTS / module), *options)

    def _run(self, *arguments: str) -> str:
        command = [str(BINARY), *arguments, "--url", f"grpc://{self.grpc}"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Wrong(f"millstream {arguments[0]} ended with {done.returncode}", done.stderr)
        return done.stdout
