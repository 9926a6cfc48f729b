"""A consumer that posts to a webhook: each row at least once, under a key that stays the same, through a receiver that fails
and kill -9 of the server.

`tls/ca.pem` is a certificate authority whose key was thrown away, `tls/server.pem` a certificate of it for `localhost`, with its
key; both are for these tests alone."""

import json
import os
import ssl
import subprocess
import threading
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import BIN, FLIGHTS, ROOT, eventually
from millstream import MillstreamError, Producer, connect
from pyarrow import parquet

GUEST = Path(os.environ.get("MILLSTREAM_GUESTS_DIR", ROOT / "target/guests")) / "delay_alerts.wasm"
TLS = Path(__file__).parent / "tls"
MINUTES = 120
# Nobody listens there: a request that went by a proxy would fail.
PROXIES = {name: "http://127.0.0.1:9" for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")}


class Webhook:
    """Takes alerts; `fails` says by the number of a request whether it is answered with 503, broken off, or taken."""

    def __init__(self, fails=lambda number: None, certificate: Path | None = None):
        self.taken: dict[str, list[dict]] = defaultdict(list)
        self.requests = 0
        self.lock = threading.Lock()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with hook.lock:
                    hook.requests += 1
                    failure = fails(hook.requests)
                    if failure is None:
                        hook.taken[self.headers["idempotency-key"]].append(body)
                if failure == "cut":
                    self.close_connection = True
                    return
                self.send_response(503 if failure else 204)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def webhook():
    hooks: list[Webhook] = []

    def start(*arguments, **options) -> Webhook:
        hooks.append(Webhook(*arguments, **options))
        return hooks[-1]

    yield start
    for hook in hooks:
        hook.close()


def create(connection, port: int, host: str = "127.0.0.1") -> None:
    connection.create_plugin(
        f"CREATE PLUGIN alerts FROM UPLOAD WITH (http = '{host}:{port}', timeout = '20s',"
        f" config = 'http://{host}:{port}/late {MINUTES}')",
        GUEST.read_bytes(),
    )


def status(url: str) -> dict:
    with connect(url) as connection:
        return connection.execute("SELECT * FROM system.plugin_consumers").to_pylist()[0]


def test_each_row_is_posted_at_least_once_under_one_key(serve, webhook):
    # Every seventh request is refused for the moment, every eleventh gets no answer, and some in a row fail.
    def fails(number: int) -> str | None:
        return "busy" if number % 7 == 0 or 20 <= number < 30 else "cut" if number % 11 == 0 else None

    hook = webhook(fails)
    server = serve("--plugin-http-allow", "127.0.0.0/8", env=PROXIES)
    columns = ["ts", "carrier", "origin", "dep_delay"]
    flights = parquet.read_table(FLIGHTS, columns=columns).slice(0, 20_000)
    with connect(server.url) as connection:
        connection.execute(
            "CREATE TABLE flights (ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, carrier VARCHAR, origin VARCHAR, dep_delay REAL)"
            " WITH (partitions = 2, partition_key = (origin))"
        )
        create(connection, hook.port)
        shown = connection.execute("SELECT http FROM system.plugins WHERE name = 'alerts'").to_pylist()
        assert shown == [{"http": f"127.0.0.1:{hook.port}"}]
        connection.execute("CREATE CONSUMER c ON flights USING PLUGIN alerts WITH (batch_rows = 100, retries = 20)")
    grpc = server.grpc
    with Producer("flights", {"url": server.url}) as producer:
        for batch in flights.to_batches(max_chunksize=1_000):
            producer.send(batch)
    eventually(lambda: len(hook.taken) > 40, what="the first alerts")
    server.kill()
    server.start(grpc=grpc)
    eventually(lambda: status(server.url)["lag"] == 0, 180, "the consumer's end")
    found = status(server.url)
    assert (found["state"], found["rows_skipped"]) == ("running", 0), found
    with connect(server.url) as connection:
        late = connection.execute(
            "SELECT _partition, _offset, carrier, origin, dep_delay, CAST(ts AS BIGINT) AS at FROM flights"
            f" WHERE dep_delay > {MINUTES}"
        ).to_pylist()
        calls = connection.execute("SELECT * FROM system.plugin_calls WHERE name = 'alerts'").to_pylist()[0]
    expected = {
        f"flights/{row['_partition']}/{row['_offset']}": {
            "key": f"flights/{row['_partition']}/{row['_offset']}",
            "departure_ms": row["at"],
            "carrier": row["carrier"],
            "origin": row["origin"],
            "delay_minutes": row["dep_delay"],
        }
        for row in late
    }
    assert len(expected) > 100
    with hook.lock:
        assert set(hook.taken) == set(expected)
        for key, bodies in hook.taken.items():
            assert all(body == expected[key] for body in bodies), (key, bodies)
    # Of the second life of the server: what was refused is an answer, what was cut is none.
    assert calls["http_requests"] > calls["http_unreachable"] > 0, calls
    assert calls["http_denied"] == calls["http_invalid"] == 0 and calls["http_bytes_sent"] > 0, calls
    with urllib.request.urlopen(f"http://{server.http}/metrics") as answer:
        metrics = answer.read().decode()
    sent = [line for line in metrics.splitlines() if line.startswith("millstream_plugin_http_requests_total{")]
    assert len(sent) == 1 and float(sent[0].split()[-1]) > 0, sent


def test_the_servers_own_network_is_denied_unless_it_is_allowed(serve, webhook):
    hook = webhook()
    server = serve()
    with connect(server.url) as connection:
        connection.execute(
            "CREATE TABLE flights (ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, carrier VARCHAR, origin VARCHAR, dep_delay REAL)"
        )
        with pytest.raises(MillstreamError, match=r"WITH \(http = 'HOST'\) grants one"):
            connection.create_plugin("CREATE PLUGIN alerts FROM UPLOAD WITH (config = 'http://x/')", GUEST.read_bytes())
        create(connection, hook.port, "localhost")
        connection.execute("CREATE CONSUMER c ON flights USING PLUGIN alerts WITH (retries = 1)")
        connection.execute("INSERT INTO flights VALUES (TIMESTAMP '2013-01-01T00:00:00Z', 'UA', 'EWR', 500)")
    eventually(lambda: status(server.url)["state"] != "running", what="the consumer's stop")
    with connect(server.url) as connection:
        lines = connection.execute("SELECT level, line FROM system.plugin_logs WHERE plugin = 'alerts'").to_pylist()
    assert any("a request was denied" in line["line"] and "127.0.0.1" in line["line"] for line in lines), lines
    assert hook.requests == 0


def trial(hook: Webhook, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    command = [BIN, "plugin", "test", str(GUEST), "--data", str(FLIGHTS), "--limit", "2000", "--call-timeout-ms", "20000"]
    command += ["--config", f"https://localhost:{hook.port}/late {MINUTES}", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, **(env or {})})


def test_certificates_are_checked(webhook):
    hook = webhook(certificate=TLS / "server.pem")
    granted = ("--http", f"localhost:{hook.port}")
    done = trial(hook, *granted)
    assert done.returncode == 1 and "certificate" in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert hook.requests == 0
    done = trial(hook, *granted, env={"SSL_CERT_FILE": str(TLS / "ca.pem")})
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert hook.requests == len(hook.taken) > 0
    taken = hook.requests
    done = trial(hook)
    assert done.returncode == 1 and "none of the hosts that it declares and is granted" in done.stdout + done.stderr, done
    assert hook.requests == taken
