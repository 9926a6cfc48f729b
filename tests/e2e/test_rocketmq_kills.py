"""Java programs send and consume while the server is killed and started again, KILLS times (3; `make soak`: 20): of what was
acknowledged nothing is lost, delayed messages and transactions included.
"""

import os
import time

import pytest
from clients import sql
from conftest import seeded
from test_rocketmq_java import VERSIONS, Program

KILLS = int(os.environ.get("KILLS", "3"))
# Both where there is time.
RELEASES = VERSIONS if KILLS > 3 else VERSIONS[-1:]
TOPIC = "java-killed"


@pytest.mark.parametrize("version", RELEASES)
def test_no_acknowledged_message_is_lost_to_kills(serve, version):
    chance = seeded()
    server = serve()
    programs = []
    try:
        sender = Program(version, server, TOPIC, source="KillCheck")
        programs.append(sender)
        sender.wait_for(50, 60)
        reader = Program(version, server, "reads", TOPIC, "java-killed-group")
        programs.append(reader)
        reader.wait_for(20, 60)
        for _ in range(KILLS):
            time.sleep(chance.random() * 2)
            server.kill()
            time.sleep(chance.random() / 2)
            server.start(remoting=server.remoting)
            sender.wait_for(len(sender.lines) + 50, 90)
        # It goes on answering questions about its transactions.
        sender.process.stdin.write("end\n")
        sender.process.stdin.flush()
        sent = -1
        while sent < len(sender.lines):
            sent = len(sender.lines)
            time.sleep(2)
        due = {int(number): int(at) for number, at in sender.lines}
        expected = {number for number in due if number % 10 != 7}
        assert all(sum(number % 10 == digit for number in due) >= 3 * KILLS for digit in (3, 5, 7, 9)), "too few of a kind"

        def came() -> dict[int, int]:
            first: dict[int, int] = {}
            for number, at in list(reader.lines):
                first.setdefault(int(number), int(at))
            return first

        # A half message whose end was lost is asked about, 6 s after the start and then every 30 s.
        end = time.monotonic() + 120
        while not expected <= came().keys() and time.monotonic() < end:
            time.sleep(0.2)
        missing = sorted(expected - came().keys())
        assert not missing, f"{len(missing)} of {len(expected)} acknowledged messages did not come: {missing[:20]}"
        early = [number for number in expected if came()[number] < due[number]]
        assert not early, f"early: {early[:20]}"
        while sql(server, "SELECT 1 FROM system.transactions") and time.monotonic() < end:
            time.sleep(0.5)
        assert sql(server, "SELECT * FROM system.transactions") == []
        time.sleep(1)
        rolled_back = sorted(number for number in came() if number % 10 == 7)
        assert not rolled_back, f"rolled back, and came all the same: {rolled_back[:20]}"
        reader.end()
    finally:
        for program in programs:
            if program.process.poll() is None:
                program.process.kill()
