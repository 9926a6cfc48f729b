"""The same Java programs against Apache RocketMQ and against Millstream: where the two differ is in docs/rocketmq.md, and nowhere else."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, seeded

RELEASE = "5.3.3"
CACHE = Path(os.environ.get("MILLSTREAM_CACHE", Path.home() / ".cache/millstream")) / "rocketmq"
SOURCES = ROOT / "tests/e2e/rocketmq/differential"
OPENED = [
    *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in ("java.nio", "java.lang", "sun.nio.ch")),
    *(f"--add-exports=java.base/{package}=ALL-UNNAMED" for package in ("sun.nio.ch", "jdk.internal.ref")),
]
# Rows of the table "What differs", by what they are about, and the differences that they explain.
EXPLAINED = {
    "delays": r"sends: at a time in 5 days|delays: .*start of delivery",
    "a delay level above 18": r"sends: a delay level of 19",
    "a subscription by tags": r"pulls: by another tag with the same hash",
    "an expression with more behind it (`a LIKE 'x'`, `a = 007`)":
        r"(conditions|selectors): (a \+ 1 = 2|a 1|a = 007|a = 1 \+|a = 1 -- comment|a = 1 b|a = 1\)|a = 1e|a LIKE 'x%'|a-b = 1)$",
    "`0.0` in an expression; a minus before a condition": r"(conditions|selectors): a = 0\.0$",
    "an expression that is wrong, in a pull": r"selectors: ",
    "pulls of a group of which no heartbeat has come yet, after a restart say": r"pulls: of a group of which nothing is known",
    "names of topics": r"sends: (a topic with a space|a topic of other letters|an empty topic)|topics: a bad name",
    "sends of no body, of a body that is not compressed as it says, by a delay level that is no number":
        r"sends: (no body|a body that is not compressed as it says|a delay level that is no number)",
    "`TBW102`, and the topics that Apache keeps things in": r"sends: (the topic that others are made of|to [A-Z_]+)$",
    "the end of a queue, or topic, that is not there": r"offsets: greatest of no (queue|topic)",
    "offsets of groups that nobody has heard of, behind a queue's end, of a queue that is not there":
        r"offsets: (of a group that nobody has heard of|(asked for )?behind the end|of no queue|of a group that has none, of no topic)",
    "`recallHandle`": r"sends: delayed by a level /recall handle",
    "a message that was delayed to a time": r"delays: seen of .*/properties/TIMER_\w+_MS",
    "a committed message": r"transactions: seen of ",
    "a half message in a question to its producer": r"transactions: shown with the question ",
    "a compressed body": r"sends: what is seen of message 4 /sys flag",
    "topics with fewer queues than before, or to be read alone": r"topics: (fewer queues|to read alone)",
    "consumerConnection of a group without consumers": r"groups: connections of one that has none",
    "batches of clients in C++": r"sends: a batch as C\+\+ clients say it",
}
# Apache's clock of delays steps by seconds.
SOMETIMES = {"the clock of delays": r"delays: delivered with "}


def lines(address: str, home: Path, classes: Path, seed: int) -> dict:
    command = ["java", "-Drocketmq.client.logUseSlf4j=true", f"-Duser.home={home}", f"-Dseed={seed}", *OPENED]
    command += ["-cp", f"{classes}:{CACHE / RELEASE}/*", "Differential", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = {line["key"]: line["value"] for line in said}
    assert len(found) == len(said), "a key came twice"
    failed = {key: value for key, value in found.items() if key.endswith(": failed")}
    assert found.get("finished") is True and not failed, f"{failed}\n{done.stderr[-4000:]}"
    return found


def differences(one, other, path: str):
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{path}/{key}")
    elif one != other:
        yield path, one, other


def rows_of_what_differs() -> set[str]:
    text = (ROOT / "docs/rocketmq.md").read_text().split("\n## What differs\n")[1].split("\n## ")[0]
    return {line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")}


def check_migration(address: str, here) -> None:
    """What the programs have left with Apache comes here by one command."""
    done = here.cli("migrate", "rocketmq", "--from", address, "--messages", "--offsets", "--format", "json", check=False)
    items = [json.loads(line) for line in done.stdout.splitlines()]
    failed = [item for item in items if item["outcome"] == "failed"]
    assert not failed, failed
    copied = {item["name"]: int(item["remark"].split()[0]) for item in items if item["item"] == "messages"}
    assert sum(copied.values()) > 100, copied
    for topic, messages in copied.items():
        if "%" not in topic:
            rows = here.cli("sql", "--format", "csv", "-c", f'SELECT count(*) AS n, count(message_id) AS named FROM "{topic}"')
            assert rows.splitlines()[1] == f"{messages},{messages}", topic
    made = [item for item in items if (item["item"], item["outcome"]) == ("offsets", "made")]
    offsets = here.cli("sql", "--format", "csv", "-c", "SELECT count(*) AS n FROM system.offsets WHERE committed_offset > 0")
    assert made and int(offsets.splitlines()[1]) >= len(made), (made, offsets)


@pytest.mark.soak
def test_the_same_programs_differ_only_where_it_is_written(serve, tmp_path):
    seed = seeded().randrange(2**31)
    classes = tmp_path / "classes"
    sources = sorted(str(source) for source in SOURCES.glob("*.java"))
    subprocess.run(["javac", "-nowarn", "-cp", f"{CACHE / RELEASE}/*", "-d", classes, *sources], check=True)
    broker = ["java", *OPENED, "-Xmx512m", "-cp", f"{CACHE / f'broker-{RELEASE}'}/*", ROOT / "tests/e2e/rocketmq/broker/ApacheBroker.java"]
    broker += [tmp_path / "apache", "transactionTimeOut=6000", "transactionCheckInterval=3000", "waitTimeMillsInSendQueue=10000"]
    with open(tmp_path / "apache.log", "wb") as log:
        apache = subprocess.Popen(broker, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        address = apache.stdout.readline().strip().removeprefix("ready remoting=")
        assert address, (tmp_path / "apache.log").read_text()[-2000:]
        theirs = lines(address, tmp_path / "home-apache", classes, seed)
        check_migration(address, serve(name="migrated"))
    finally:
        apache.kill()
        apache.wait()
    ours = lines(serve().remoting, tmp_path / "home", classes, seed)

    rows = rows_of_what_differs()
    missing = [row for row in [*EXPLAINED, *SOMETIMES] if row not in rows]
    assert not missing, f"docs/rocketmq.md has no rows {missing}"
    seen, strange = set(), []
    assert theirs.keys() == ours.keys()
    for key in theirs:
        for path, one, other in differences(theirs[key], ours[key], key):
            path = path.replace(f"{key}/", f"{key} /", 1)
            row = next((row for row, pattern in {**EXPLAINED, **SOMETIMES}.items() if re.match(pattern, path)), None)
            if row == "an expression that is wrong, in a pull" and (len(one) < 32 or other != "refused with 23"):
                row = None
            seen.add(row)
            if row is None:
                strange.append(f"{path}: Apache {one}, here {other}")
    assert not strange, "\n".join(strange)
    unseen = EXPLAINED.keys() - seen
    assert not unseen, f"no longer different: {unseen}"
