"""An OpenID Connect provider that is not ours: keys of `cryptography`, tokens of PyJWT, an address that describes it."""

import base64
import hmac
import http.server
import json
import subprocess
import threading
import time
from contextlib import contextmanager

import jwt
import pyarrow.flight as flight
import pytest
import test_rocketmq_java as java
from conftest import BIN, eventually
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

PASSWORD = "the administrator's"


class Provider(http.server.ThreadingHTTPServer):
    """Describes itself and its keys, and signs."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answers)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}/realms/shop"
        self.asked = 0
        self.rotate("first")

    def rotate(self, name: str) -> None:
        self.name = name
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        listed = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        self.keys = {"keys": [{**listed, "kid": name, "use": "sig", "alg": "RS256"}]}

    def token(self, user: str, roles: list[str], seconds: int = 600, **claims) -> str:
        said = {"iss": self.issuer, "aud": "millstream", "sub": user, "exp": int(time.time()) + seconds, **claims}
        said["realm_access"] = {"roles": roles}
        return jwt.encode(said, self.key, algorithm="RS256", headers={"kid": self.name})


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        issuer = self.server.issuer
        answers = {
            "/realms/shop/.well-known/openid-configuration": {"issuer": issuer, "jwks_uri": f"{issuer}/certs"},
            "/realms/shop/certs": self.server.keys,
        }
        answer = answers.get(self.path)
        self.server.asked += 1
        self.send_response(200 if answer else 404)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    with Provider() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def server(serve, provider, monkeypatch):
    monkeypatch.setenv("MILLSTREAM_USER", "admin")
    monkeypatch.setenv("MILLSTREAM_PASSWORD", PASSWORD)
    options = ["--oidc-issuer", provider.issuer, "--oidc-audience", "millstream", "--oidc-roles-claim", "realm_access.roles"]
    made = serve(*options, "--oidc-roles", "shop-dev=readers,shop-ops=writers", env={"MILLSTREAM_INIT_ADMIN_PASSWORD": PASSWORD})
    for statement in [
        "CREATE TABLE t (a BIGINT)",
        "INSERT INTO t VALUES (1), (2)",
        "CREATE ROLE readers",
        "GRANT READ ON TABLE t TO readers",
        "CREATE ROLE writers",
        "GRANT PRODUCE, CONSUME, READ, DEFINE ON NAMESPACE public TO writers",
    ]:
        made.cli("sql", "-c", statement)
    monkeypatch.delenv("MILLSTREAM_USER")
    monkeypatch.delenv("MILLSTREAM_PASSWORD")
    # Its keys are asked for while it starts.
    eventually(lambda: provider.asked >= 2)
    return made


def sql(server, token: str, statement: str) -> subprocess.CompletedProcess:
    run = [BIN, "sql", "--format", "csv", "-c", statement, "--url", server.url, "--token", token]
    return subprocess.run(run, capture_output=True, text=True, timeout=120)


def curl(server, token: str, statement: str) -> tuple[int, str]:
    run = ["curl", "-sS", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {token}", "-d", statement]
    done = subprocess.run([*run, f"http://{server.http}/v1/sql"], capture_output=True, text=True, timeout=60, check=True)
    body, code = done.stdout.rsplit("\n", 1)
    return int(code), body


@contextmanager
def connected(server, token: str):
    with flight.connect(server.url) as client:
        yield client, flight.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])


def by_what_everybody_has(secret: bytes, *parts: dict) -> str:
    """PyJWT makes none by a public key."""

    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    signed = ".".join(encoded(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def test_a_token_logs_in_with_its_roles_at_every_door(server, provider):
    reader, writer = provider.token("ann", ["shop-dev", "offline_access"]), provider.token("bob", ["shop-ops"])
    assert sql(server, reader, "SELECT sum(a) FROM t").stdout.split() == ["sum(t.a)", "3"]
    assert sql(server, reader, "SELECT current_user").stdout.split()[-1] == "oidc:ann"
    refused = sql(server, reader, "INSERT INTO t VALUES (3)")
    assert refused.returncode != 0 and "PRODUCE" in refused.stderr, refused.stderr
    assert sql(server, writer, "INSERT INTO t VALUES (3)").returncode == 0
    assert curl(server, reader, "SELECT count(*) AS n FROM t") == (200, '{"n":3}\n')
    # The roles of the provider that are named by none here count for nothing, whatever they are called.
    nobody = provider.token("eve", ["readers", "writers"])
    code, body = curl(server, nobody, "SELECT * FROM t")
    assert code in (400, 404) and "3" not in body, body
    with connected(server, reader) as (client, options):
        assert [info.descriptor.path for info in client.list_flights(options=options)] == [[b"public", b"t"]]


def test_java_programs_show_it_as_their_access_key(server, provider, monkeypatch):
    monkeypatch.setenv("ROCKETMQ_ACCESS_KEY", provider.token("bob", ["shop-ops"]))
    monkeypatch.setenv("ROCKETMQ_SECRET_KEY", "any")
    java.run("5.3.3", server, "concurrent", "JSON")


def test_what_is_wrong_is_refused_and_said(server, provider):
    ours, made = provider.token("ann", ["shop-dev"]), int(time.time())
    head, body, signature = ours.split(".")
    said = {"iss": provider.issuer, "aud": "millstream", "sub": "ann", "exp": made + 600, "realm_access": {"roles": ["shop-dev"]}}
    public = provider.keys["keys"][0]["n"].encode()
    for wrong, words in [
        (provider.token("ann", ["shop-dev"], seconds=-120), "expired"),
        (provider.token("ann", ["shop-dev"], aud="another"), "aud"),
        (provider.token("ann", ["shop-dev"], iss="https://id.example"), "iss"),
        (provider.token("ann", ["shop-dev"], nbf=made + 600), "nbf"),
        (f"{head}.{body}.{signature[:-8]}AAAAAAAA", "signature"),
        (jwt.encode(said, None, algorithm="none"), "refused"),
        (by_what_everybody_has(public, {"alg": "HS256", "kid": provider.name}, said), "private key"),
    ]:
        refused = sql(server, wrong, "SELECT 1")
        assert refused.returncode != 0 and words in refused.stderr, (words, refused.stderr)
        assert curl(server, wrong, "SELECT 1")[0] == 401
        assert wrong not in refused.stderr
    assert sql(server, ours, "SELECT 1").returncode == 0, "one that fails does not lock others out"


def test_new_keys_are_taken_up_and_old_ones_end(server, provider):
    old = provider.token("ann", ["shop-dev"])
    assert sql(server, old, "SELECT 1").returncode == 0
    provider.rotate("second")
    # Asked for at once, but not more than every ten seconds.
    eventually(lambda: sql(server, provider.token("ann", ["shop-dev"]), "SELECT 1").returncode == 0, timeout_s=30)
    refused = sql(server, old, "SELECT 1")
    assert refused.returncode != 0 and "does not list" in refused.stderr, refused.stderr


def test_a_stream_ends_with_its_token(server, provider):
    # A minute is given for clocks that differ.
    token = provider.token("bob", ["shop-ops"], seconds=-54)
    program = [BIN, "consume", "t", "--group", "g", "--url", server.url, "--token", token]
    begun = time.monotonic()
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0 and time.monotonic() - begun < 20, ended.stderr
    assert ended.stdout.count("\n") >= 2, ended.stderr
