"""Pages of the documentation, and what of them can be run.

Blocks of ``sh``, ``sql`` and ``python`` are run, those of a page one after the other, in a folder of their own with the flights in
a table of the server. Comments, which no reader of the page sees, say what else there is to know:

    <!-- not run: why -->               above a block that is left out
    <!-- fails: text -->                above a block that must end with an error in which the text stands
    <!-- output -->                     above a block: lines that the block before it prints, in this order; … stands for anything
    <!-- run: sh|sql|python             what is run and not shown
    …
    -->
    <!-- its own server -->             of the whole page: it starts one itself
    <!-- an administrator -->           of the whole page: who has all rights runs it, on a server with users

``/srv/`` stands for the folder, and addresses of 127.0.0.1 for those that the server listens on.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from conftest import BIN, ROOT

DOCS = ROOT / "docs"
RUN = ("sh", "sql", "python")
GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))
# Seconds that one block may take.
LIMIT = 120


def pages() -> list[Path]:
    """All pages: those of the book, and the first one."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


@dataclass
class Block:
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def runs(self) -> bool:
        return self.language in RUN and "not run" not in self.marks


MARK = re.compile(r"<!-- (?P<name>not run|fails|output)(?:: (?P<text>.+))? -->")
OF_PAGES = ("<!-- its own server -->", "<!-- an administrator -->")


def page_marks(page: Path) -> set[str]:
    return {line[5:-4] for line in page.read_text().splitlines() if line in OF_PAGES}


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order, those that are not shown among them."""
    found: list[Block] = []
    marks: dict[str, str] = {}
    lines = iter(enumerate(page.read_text().splitlines(), 1))
    for number, line in lines:
        fence = re.match(r"( *)```(\S*)", line)
        hidden = re.match(r"<!-- run: (\S+)$", line)
        if fence or hidden:
            indent, language = (len(fence[1]), fence[2]) if fence else (0, hidden[1])
            end = "```" if fence else "-->"
            text: list[str] = []
            for _, inner in lines:
                if inner.strip() == end:
                    break
                text.append(inner[indent:])
            else:
                raise AssertionError(f"{page}:{number}: the block has no end")
            found.append(Block(number, language, "\n".join(text) + "\n", marks))
            marks = {}
        elif mark := MARK.fullmatch(line.strip()):
            marks[mark["name"]] = mark["text"] or ""
        elif line not in OF_PAGES:
            assert not line.strip().startswith("<!--"), f"{page}:{number}: no mark is called so"
            assert not marks, f"{page}:{number}: a mark stands right above its block"
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Runner:
    """Runs the blocks of one page in ``folder``."""

    def __init__(self, page: Path, folder: Path, addresses: dict[str, str], env: dict[str, str]):
        self.page = page
        self.folder = folder
        self.addresses = addresses
        self._started: list[subprocess.Popen] = []
        (folder / "bin").mkdir()
        (folder / "bin/millstream").symlink_to(BIN)
        self.work = folder / "work"
        for name in ("examples", "clients"):
            (self.work / name).symlink_to(ROOT / name)
        for guest in GUESTS.glob("*.wasm"):
            (self.work / guest.name).symlink_to(guest)
        # Rust's standard library is compiled for Wasm once, by `make guests`.
        self.env = {
            **os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "clients/python/src"),
            "CARGO_TARGET_DIR": str(GUESTS / "build"), "MILLSTREAM_BIN": BIN,
            "MILLSTREAM_URL": f"grpc://{addresses['8081']}", "MILLSTREAM_GRPC": addresses["8081"], "MILLSTREAM_HTTP": addresses["8080"],
            "MILLSTREAM_REMOTING": addresses["9876"], **env,
        }

    def run(self, block: Block) -> str:
        """What the block has printed."""
        text = block.text
        for port, address in self.addresses.items():
            text = text.replace(f"127.0.0.1:{port}", address)
        text = text.replace("/srv/", f"{self.work}/")
        where = self.folder / "where"
        file = self.folder / f"block.{block.language}"
        if block.language == "sh":
            text += f"\npwd > {where}\n"
        file.write_text(text)
        command = {"sh": ["bash", "-euo", "pipefail", file], "sql": ["millstream", "sql", "-f", file], "python": [sys.executable, file]}
        cwd = where.read_text().strip() if where.exists() else self.work
        said = self.folder / "said"
        with open(said, "w") as output:
            process = subprocess.Popen(
                [str(part) for part in command[block.language]], cwd=cwd, env=self.env, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
            self._started.append(process)
            began = time.monotonic()
            code = process.wait(timeout=LIMIT)
            print(f"{self.page.name}:{block.line}: {time.monotonic() - began:.1f} s")
        printed = said.read_text()
        place = f"{self.page.relative_to(ROOT)}:{block.line}"
        if "fails" in block.marks:
            assert code != 0 and block.marks["fails"] in printed, f"{place}: should fail with {block.marks['fails']!r}: {printed}"
        else:
            assert code == 0, f"{place}: exit code {code}\n{printed}"
        return printed

    def close(self) -> None:
        """Ends what blocks have left running, each with its own children alone."""
        for process in self._started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nothing is left of it


def missing(expected: str, printed: str) -> str | None:
    """The first line of ``expected`` that does not come in ``printed`` where it should."""

    def plain(text: str) -> list[str]:
        lines = (re.sub(r"-{2,}", "--", line) for line in text.splitlines())
        return [" ".join(line.split()) for line in lines if line.strip()]

    rest = iter(plain(printed))
    for line in plain(expected):
        if line == "…":
            continue
        pattern = ".*".join(re.escape(part) for part in line.split("…"))
        if not any(re.fullmatch(pattern, other) for other in rest):
            return line
    return None
