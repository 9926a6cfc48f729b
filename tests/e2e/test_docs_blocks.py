"""What the pages of the documentation show is run as they show it; ``pages.py`` says how."""

import fcntl
import functools
import os
import re
import shutil
import subprocess

import pytest
from conftest import BIN, FLIGHTS, ROOT, Server
from pages import GUESTS, Block, Runner, blocks, free_port, missing, page_marks, pages

ALL = {str(page.relative_to(ROOT)): page for page in pages()}
RUN = {name: page for name, page in ALL.items() if any(block.runs for block in blocks(page))}


@pytest.fixture(scope="session")
def flights_directory(tmp_path_factory):
    """A data directory with the flights in it: one for all processes of a run."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    folder = tmp_path_factory.getbasetemp().parent / f"docs-{run}" if run else tmp_path_factory.mktemp("docs")
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            server = Server(folder / "data")
            server.cli("import", "flights", str(FLIGHTS), "--create")
            assert server.stop() == 0
            (folder / "done").touch()
    return folder / "data"


@pytest.mark.parametrize("name", RUN)
def test_blocks_of_a_page(name, tmp_path, flights_directory, monkeypatch):
    page = RUN[name]
    marks = page_marks(page)
    (tmp_path / "work").mkdir()
    server, env = None, {}
    if "its own server" in marks:
        addresses = {port: f"127.0.0.1:{free_port()}" for port in ("8080", "8081", "9876", "9000")}
    else:
        shutil.copytree(flights_directory, tmp_path / "data")
        monkeypatch.chdir(tmp_path / "work")
        if "an administrator" in marks:
            env = {"MILLSTREAM_USER": "admin", "MILLSTREAM_PASSWORD": "a password for the test"}
        init = {"MILLSTREAM_INIT_ADMIN_PASSWORD": env["MILLSTREAM_PASSWORD"]} if env else None
        server = Server(tmp_path / "data", "--file-roots", f"{tmp_path / 'work'}:{GUESTS}", "--message-trace", "true", env=init)
        addresses = {"8080": server.http, "8081": server.grpc, "9876": server.remoting}
    runner = Runner(page, tmp_path, addresses, env)
    try:
        printed = ""
        for block in blocks(page):
            if block.runs:
                printed = runner.run(block)
            elif "output" in block.marks:
                line = missing(block.text, printed)
                assert line is None, f"{name}:{block.line}: {line!r} is not what is printed:\n{printed}"
    finally:
        runner.close()
        if server:
            server.kill()


def test_blocks_that_are_left_out_have_a_reason():
    for name, page in ALL.items():
        for block in blocks(page):
            reason = block.marks.get("not run")
            assert reason is None or (len(reason) > 8 and block.language), f"{name}:{block.line}: {reason!r} is no reason"
            assert block.language in ("sh", "sql", "python") or set(block.marks) <= {"output"}, f"{name}:{block.line}: {block.marks}"


def test_most_blocks_are_run():
    found = [block for page in ALL.values() for block in blocks(page) if block.language in ("sh", "sql", "python")]
    found = [block for block in found if block.marks.get("not run") != "this is the grammar"]
    assert sum(block.runs for block in found) > 0.7 * len(found) > 70


def test_what_marks_mean(tmp_path):
    """Marks of a page made up for it, and outputs that are other ones."""
    page = tmp_path / "page.md"
    page.write_text(
        "A page\n\n<!-- not run: it has no end -->\n```sh\nsleep 99\n```\n\n  ```sql\n  SELECT 1\n  ```\n\n<!-- run: sh\necho hidden\n-->\n"
        "<!-- output -->\n```\nhid…\n```\n"
    )
    left_out, shown, hidden, output = blocks(page)
    assert left_out == Block(4, "sh", "sleep 99\n", {"not run": "it has no end"}) and not left_out.runs
    assert shown == Block(8, "sql", "SELECT 1\n", {}) and shown.runs
    assert hidden == Block(12, "sh", "echo hidden\n", {}) and hidden.runs
    assert output.marks == {"output": ""} and not output.runs
    assert missing(output.text, "hidden\n") is None and missing("a\n…\nc d\n", "a\nb\nc   d\n") is None
    assert missing("c\na\n", "a\nb\nc\n") == "a" and missing("hid…x", "hidden") == "hid…x"
    for wrong in ("<!-- no run: x -->\n```sh\n```\n", "<!-- output -->\n\n```\n```\n", "```sh\n"):
        page.write_text(wrong)
        with pytest.raises(AssertionError):
            blocks(page)


def commands(text: str) -> list[list[str]]:
    """Words of the commands ``millstream …`` in a text."""
    joined = text.replace("\\\n", " ")
    return [found.split() for found in re.findall(r"\bmillstream ([a-z]+[^\n`#;|&]*)", joined)]


def test_commands_that_are_named_are_there():
    """Those of blocks that are left out, and those in sentences: with options that the program knows."""

    @functools.cache
    def help_of(*words: str) -> str:
        done = subprocess.run([BIN, *words, "--help"], capture_output=True, text=True, timeout=60)
        return done.stdout if done.returncode == 0 else ""

    seen = 0
    for name, page in ALL.items():
        text = "\n".join(block.text for block in blocks(page) if block.language == "sh" and not block.runs)
        spans = re.findall(r"`(millstream [a-z][^`]*)`", re.sub(r"(?ms)^ *```.*?^ *```$", "", page.read_text()))
        for words in commands("\n".join([text, *spans])):
            within = words[:2] if len(words) > 1 and words[1].isalpha() and "\nCommands:\n" in help_of(words[0]) else words[:1]
            help_text = help_of(*within)
            assert help_text, f"{name}: there is no command millstream {' '.join(within)}"
            for option in (word.split("=")[0] for word in words if word.startswith("--")):
                assert re.search(rf"{option}\b", help_text), f"{name}: millstream {' '.join(within)} has no {option}"
            seen += 1
    assert seen > 40
    assert commands("millstream sql \\\n -c x; millstream doctor") == [["sql", "-c", "x"], ["doctor"]]
