"""The second part of `make demo` does what it shows, and says so if something is wrong."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from conftest import BIN, ROOT

GUESTS = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests"))


def run(guests: Path) -> tuple[int, str, str]:
    env = {**os.environ, "MILLSTREAM_BIN": BIN, "MILLSTREAM_GUESTS_DIR": str(guests)}
    command = [sys.executable, str(ROOT / "examples/orders/demo.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as demo:
        try:
            said, errors = demo.communicate(timeout=400)
        except subprocess.TimeoutExpired:
            # It ends what it has started.
            demo.send_signal(signal.SIGTERM)
            raise
    return demo.returncode, said, errors


def test_a_shop_with_rocketmqs_own_clients():
    code, said, errors = run(GUESTS)
    assert code == 0, f"{said}\n{errors}"
    assert said.endswith("Everything that came out is what was sent.\n")


def test_a_filter_that_is_another_one_ends_it(tmp_path):
    shutil.copy(GUESTS / "seat_orders.wasm", tmp_path)
    shutil.copy(GUESTS / "seat_orders.wasm", tmp_path / "card_check.wasm")
    code, said, errors = run(tmp_path)
    assert code == 1 and errors.startswith("wrong: "), f"{said}\n{errors}"
