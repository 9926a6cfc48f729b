"""RocketMQ's clients, unchanged, with access keys, of a server that has users."""

import os
import subprocess

import pytest
import test_rocketmq_clients as clients
import test_rocketmq_grpc as grpc
import test_rocketmq_java as java
from mq_http_sdk.mq_client import MQClient
from mq_http_sdk.mq_exception import MQServerException
from mq_http_sdk.mq_producer import TopicMessage

PASSWORD = "the administrator's"
KEY, SECRET = "rocketmqak", "rocketmqsk"
GRANTS = [
    "CREATE USER shop",
    "GRANT PRODUCE, CONSUME, READ, DEFINE ON NAMESPACE public TO shop",
    "GRANT OPERATE ON SERVER TO shop",
    f"CREATE ACCESS KEY FOR shop WITH (access_key = '{KEY}', secret_key = '{SECRET}')",
]
JAVA = ["concurrent", "orderly", "transactions", "rebalance", "lite", "dead", "lookups", "broadcast"]


@pytest.fixture
def server(serve, monkeypatch):
    """With an administrator, as whom the command line logs in, and a user with a key, which clients have in their environment."""
    monkeypatch.setenv("MILLSTREAM_USER", "admin")
    monkeypatch.setenv("MILLSTREAM_PASSWORD", PASSWORD)
    made = serve(env={"MILLSTREAM_INIT_ADMIN_PASSWORD": PASSWORD})
    for statement in GRANTS:
        made.cli("sql", "-c", statement)
    monkeypatch.setenv("ROCKETMQ_ACCESS_KEY", KEY)
    monkeypatch.setenv("ROCKETMQ_SECRET_KEY", SECRET)
    return made


@pytest.mark.parametrize("headers", ["JSON", "ROCKETMQ"])
@pytest.mark.parametrize("version", java.VERSIONS)
def test_java_signs_in_both_forms(server, version, headers):
    java.run(version, server, "concurrent", headers)


@pytest.mark.parametrize("part", JAVA[1:])
@pytest.mark.parametrize("version", java.VERSIONS)
def test_what_java_programs_do(server, version, part):
    if part in java.MADE_BEFORE:
        server.cli("sql", "-c", java.MADE_BEFORE[part])
    java.run(version, server, part, "JSON")


@pytest.mark.parametrize("part", ["recall", "mqadmin", "consumers", "definitions"])
def test_what_administrators_do(server, part):
    java.run(java.ADMIN, server, part, "JSON", source="RocketmqAdmin")


@pytest.mark.parametrize("shown", [{}, {"ROCKETMQ_ACCESS_KEY": KEY, "ROCKETMQ_SECRET_KEY": "another"}])
@pytest.mark.parametrize("version", java.VERSIONS)
def test_java_programs_without_the_key_are_refused(server, version, shown):
    env = {name: value for name, value in os.environ.items() if not name.startswith("ROCKETMQ_")}
    program = java.command(version, server, "concurrent")
    assert java.first_line(program, "CODE: 16", env={**env, **shown}), "it was let in"


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/Los_Angeles"])
def test_java_over_grpc_signs_the_time_of_its_zone(server, monkeypatch, zone):
    monkeypatch.setenv("TZ", zone)
    assert "received by tags and acknowledged" in grpc.run(server, grpc.java(server, "simple"))


@pytest.mark.parametrize("part", ["push", "transactions"])
def test_what_java_programs_do_over_grpc(server, part):
    said = grpc.run(server, grpc.java(server, part))
    assert [line for line in said if line in grpc.JAVA[part]] == grpc.JAVA[part]


@pytest.mark.parametrize("part", grpc.PYTHON)
def test_what_python_programs_do_over_grpc(server, part):
    said = grpc.run(server, grpc.python(server, part))
    assert [line for line in said if line in grpc.PYTHON[part]] == grpc.PYTHON[part]


def test_python_programs_without_the_key_are_refused_over_grpc(server):
    env = {name: value for name, value in os.environ.items() if not name.startswith("ROCKETMQ_")}
    env["HOME"] = str(server.data.parent)
    done = subprocess.run(grpc.python(server, "simple"), capture_output=True, text=True, timeout=120, env=env)
    assert done.returncode != 0, done.stdout


@pytest.mark.parametrize("part", ["concurrent", "orderly", "transactions", "pull", "topics"])
def test_what_go_programs_do(server, part):
    if part in clients.RETRIED:
        clients.retries_at_once(server, clients.RETRIED[part])
    clients.run(server, [clients.CACHE / "go/check", server.remoting, part], clients.GO[part])


@pytest.mark.parametrize("part", ["simple", "push", "transactions"])
def test_what_node_programs_do_over_grpc(server, part):
    clients.run(server, ["node", clients.PROGRAMS / "node/grpc_check.js", server.grpc, part], clients.NODE[part])


def test_what_node_programs_do_over_http(server):
    program = ["node", clients.PROGRAMS / "node/http_check.js", server.http, "messages"]
    clients.run(server, program, clients.NODE_HTTP["messages"])


def test_what_ali_ons_does(server):
    server.cli("sql", "-c", 'CREATE TABLE "ons-normal" OF MESSAGES WITH (partitions = 4)')
    clients.retries_at_once(server, clients.ONS_RETRIED["normal"])
    program = ["node", clients.PROGRAMS / "node/remoting_check.js", server.remoting, "normal"]
    clients.run(server, program, clients.ONS["normal"])


@pytest.mark.parametrize("part", clients.CPP)
def test_what_the_client_in_cpp_does(server, part):
    program = [clients.CACHE / "cpp/bin/python", clients.PROGRAMS / "cpp_check.py", server.remoting, part]
    clients.run(server, program, clients.CPP[part])


def test_python_programs_over_http(server):
    def client(key: str, secret: str, token: str = "") -> MQClient:
        return MQClient(f"http://{server.http}", key, secret, token)

    right = client(KEY, SECRET)
    right.get_producer("", "orders").publish_message(TopicMessage("one", "paid"))
    consumer = right.get_consumer("", "orders", "workers")
    [message] = consumer.consume_message(16, 10)
    consumer.ack_message([message.receipt_handle])
    for wrong in [client(KEY, "another"), client("nobody", SECRET)]:
        with pytest.raises(MQServerException) as refused:
            wrong.get_producer("", "orders").publish_message(TopicMessage("two"))
        assert refused.value.type == "SignatureDoesNotMatch"
    made = server.cli("sql", "--format", "csv", "-c", "CREATE TOKEN phone FOR shop").splitlines()[-1]
    token = next(part for part in made.split(",") if part.startswith("mst_"))
    for shown in [client(token, "shop"), client("any", "any", token)]:
        shown.get_producer("", "orders").publish_message(TopicMessage("three"))
    server.cli("sql", "-c", "DROP USER shop")
    with pytest.raises(MQServerException) as refused:
        client(token, "shop").get_producer("", "orders").publish_message(TopicMessage("four"))
    assert refused.value.type == "AccessDenied"


def test_a_cluster_that_wants_keys_is_moved_with_them(server, serve):
    server.cli("sql", "-c", "CREATE TABLE orders OF MESSAGES WITH (partitions = 2)")
    not_here = ("ROCKETMQ_", "MILLSTREAM_USER", "MILLSTREAM_PASSWORD")
    env = {name: value for name, value in os.environ.items() if not name.startswith(not_here)}
    new = serve(name="new")

    def migrate(*shown: str) -> subprocess.CompletedProcess:
        command = [os.environ["MILLSTREAM_BIN"], "migrate", "rocketmq", "--from", server.remoting, "--url", new.url, *shown]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env)

    refused = migrate()
    assert refused.returncode != 0 and "16" in refused.stderr, refused.stderr
    done = migrate("--access-key", KEY, "--secret-key", SECRET)
    assert done.returncode == 0 and "orders" in done.stdout, done.stderr
