"""The Python client as a package: its types, its wheel, the protocol that it was generated from, and what its page says."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import BIN, ROOT
from millstream import Unavailable, testing
from millstream._wire import millstream_v1_pb2 as wire

CLIENT = ROOT / "clients/python"
pytest_plugins = ["millstream.testing.plugin"]


def run(*command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def test_types_are_strictly_right(tmp_path):
    """The client's source, and a program that uses all of it."""
    for target in ("src/millstream", ROOT / "tests/e2e/typed_program.py"):
        for version in ("3.10", "3.13"):
            found = run(
                sys.executable, "-m", "mypy", "--strict", "--no-warn-unused-configs", "--python-version", version,
                "--cache-dir", tmp_path / version, target, cwd=CLIENT,
            )
            assert "Success" in found


def test_everything_public_is_documented():
    import inspect

    import millstream
    from millstream import aio

    def documented(name, thing):
        assert inspect.getdoc(thing), f"{name} has no docstring"
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                assert inspect.getdoc(value), f"{name}.{member} has no docstring"

    for module in (millstream, aio, testing):
        assert set(module.__all__) <= set(dir(module))
        for name in module.__all__:
            if name != "__version__":
                documented(f"{module.__name__}.{name}", getattr(module, name))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Copied, because a build leaves files beside its source.
    run("cp", "-rL", CLIENT, folder / "source")
    run("rm", "-rf", folder / "source/build", *(folder / "source/src").glob("*.egg-info"))
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation",
        "--wheel-dir", folder, folder / "source",
    )
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_has_everything(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = email.message_from_string(archive.read(next(name for name in names if name.endswith("/METADATA"))).decode())
        (licence,) = (name for name in names if name.endswith("/LICENSE"))
        assert archive.read(licence) == (ROOT / "LICENSE").read_bytes()
    sources = {
        str(path.relative_to(CLIENT / "src")) for path in (CLIENT / "src").rglob("*")
        if path.suffix in (".py", ".pyi") or path.name == "py.typed"
    }
    assert sources == {name for name in names if ".dist-info/" not in name}
    assert wheel.name == f"millstream-{metadata['Version']}-py3-none-any.whl"
    assert metadata["License-Expression"] == "Apache-2.0" and metadata["Requires-Python"] == ">=3.10"
    assert metadata.get_payload().strip() == (CLIENT / "README.md").read_text().strip()
    assert {"duckdb", "pandas", "polars"} <= set(metadata.get_all("Provides-Extra"))


def test_the_wheel_works_where_it_is_installed(wheel, tmp_path, millstream_server):
    """In an environment of its own, into which only what it depends on is let."""
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin/python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", wheel)
    purelib = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    Path(purelib, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = f"""
import millstream, millstream.aio, millstream.testing
assert millstream.__file__.startswith({str(place)!r}) and millstream.__version__ == {wheel.name.split("-")[1]!r}, millstream.__file__
with millstream.connect({millstream_server.url!r}) as connection:
    print(connection.query("SELECT 7 AS seven").to_pylist())
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    assert run(python, "-c", program, env=environment, cwd=tmp_path) == "[{'seven': 7}]\n"


def test_the_page_works_as_typed(tmp_path):
    """Every block of Python of the client's README, one after the other."""
    blocks = re.findall(r"```python\n(.*?)```", (CLIENT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 7
    environment = {**os.environ, "PYTHONPATH": str(CLIENT / "src"), "MILLSTREAM_BIN": BIN}
    with testing.server() as server:
        for block in blocks:
            said = run(sys.executable, "-c", block.replace("grpc://127.0.0.1:8081", server.url), env=environment, cwd=tmp_path)
            if "def on_assign" in block:
                assert "mine now: [('trips', 0)]" in said and "no longer mine: [('trips', 0)]" in said
            if "asyncio" in block:
                assert "Result(1 rows of trips: int64)" in said
        with server.connect() as connection:
            found = connection.query("SELECT id, city, km FROM trips ORDER BY id").to_pylist()
    assert [(row["id"], row["city"], row["km"]) for row in found] == [
        (1, "Oslo", 12.5), (2, "Bergen", None), (3, "Tromsø", None), (4, None, 7.0), (5, "Bodø", None), (6, None, None), (7, None, None),
        (8, None, None), (11, "Oslo", 25.0), (12, "Bergen", None), (101, "Oslo", 12.5), (102, "Bergen", None),
    ]


def test_a_server_for_a_test(tmp_path, monkeypatch):
    with testing.server("--log", "debug", data=tmp_path / "kept") as server:
        with server.connect() as connection:
            connection.query("CREATE TABLE kept (id BIGINT)")
            connection.query("INSERT INTO kept VALUES (1)")
            url = server.url
            server.kill()
            server.start()
            assert server.url == url and len(connection.query("SELECT * FROM kept")) == 1
        assert server.stop() == 0
    with testing.server(data=tmp_path / "kept") as server, server.connect() as connection:
        assert len(connection.query("SELECT * FROM kept")) == 1
        folder = server.data
    assert folder.exists()
    with testing.server() as server:
        folder = server.data
        assert folder.exists() and server.http_url.startswith("http://127.0.0.1:")
    assert not folder.parent.exists()
    with pytest.raises(Unavailable, match="no-such-option"):
        with testing.server("--no-such-option"):
            pass
    monkeypatch.setenv("MILLSTREAM_BIN", str(tmp_path / "nothing"))
    with pytest.raises(FileNotFoundError, match="MILLSTREAM_BIN names"):
        testing.find_program()
    monkeypatch.delenv("MILLSTREAM_BIN")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="install the server"):
        testing.find_program()
    (tmp_path / "millstream").symlink_to(BIN)
    assert testing.find_program() == str(tmp_path / "millstream")




def test_generated_code_is_that_of_the_protocol():
    """Messages, fields, their numbers and types, and enums, as the protocol's file has them."""
    text = re.sub(r"//.*", "", (ROOT / "clients/protocol/proto/millstream.v1.proto").read_text())
    written, path = set(), []
    token = re.compile(
        r"(?:message|enum|oneof) (?P<opens>\w+) \{|(?P<closes>\})"
        r"|(?P<label>optional |repeated )?(?P<type>[\w.]+) (?P<field>\w+) = (?P<number>\d+);|(?P<value>\w+) = (?P<of>\d+);"
    )
    for found in token.finditer(text[text.index("message"):]):
        if found["opens"]:
            path.append(None if found[0].startswith("oneof") else found["opens"])
        elif found["closes"]:
            path.pop()
        elif found["field"]:
            written.add((".".join(filter(None, path)), found["field"], int(found["number"]), found["type"], (found["label"] or "") == "repeated "))
        else:
            written.add((".".join(filter(None, path)), found["value"], int(found["of"])))

    generated = set()
    kinds = {3: "int64", 4: "uint64", 5: "int32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32"}

    def message(name, descriptor):
        for field in descriptor.fields:
            kind = field.message_type or field.enum_type
            repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
            generated.add((name, field.name, field.number, kind.name if kind else kinds[field.type], repeated))
        for nested in descriptor.nested_types:
            message(f"{name}.{nested.name}", nested)

    for name, descriptor in wire.DESCRIPTOR.message_types_by_name.items():
        message(name, descriptor)
    for name, descriptor in wire.DESCRIPTOR.enum_types_by_name.items():
        generated |= {(name, value.name, value.number) for value in descriptor.values}
    assert written == generated and len(written) > 100
