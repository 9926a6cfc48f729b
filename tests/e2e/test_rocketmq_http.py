"""RocketMQ's clients over HTTP (`mq-http-sdk`), unchanged, from PyPI."""

import base64
import socket
import time
import urllib.request

import pytest
from clients import sql
from conftest import eventually
from mq_http_sdk.mq_client import MQClient
from mq_http_sdk.mq_consumer import MQConsumer
from mq_http_sdk.mq_exception import MQServerException
from mq_http_sdk.mq_producer import TopicMessage


def client(server) -> MQClient:
    # Keys are taken and not looked at.
    return MQClient(f"http://{server.http}", "key", "secret")


def message(body: str, tag: str = "", **properties: str) -> TopicMessage:
    made = TopicMessage(body, tag)
    for name, value in properties.items():
        made.put_property(name, value)
    return made


def consume(consumer: MQConsumer, count: int = 16, wait: int = 5, ordered: bool = False) -> list:
    try:
        take = consumer.consume_message_orderly if ordered else consumer.consume_message
        return take(count, wait)
    except MQServerException as none:
        assert none.type == "MessageNotExist", none
        return []


def test_messages_are_published_consumed_and_acknowledged(serve):
    server = serve()
    mq = client(server)
    producer = mq.get_producer("", "orders")
    odd = " <b>&amp; \"q\" 'é'\r\n\t]]> "
    first = message(odd, "paid", amount="120")
    first.set_message_key("k1 k2")
    before = int(time.time() * 1000)
    sent = [producer.publish_message(one) for one in [first, message("second", "open"), message("third")]]
    [row] = sql(server, """
        SELECT message_id, tag, keys, property(properties, 'amount') AS amount, CAST(body AS VARCHAR) AS body
        FROM orders WHERE tag = 'paid'""")
    assert (row["message_id"], row["keys"], row["amount"]) == (sent[0].message_id, ["k1", "k2"], "120")
    assert row["body"] == odd
    # Those of one tag, and of two; the rest is passed over by this group.
    [got] = consume(mq.get_consumer("", "orders", "tags", "paid||other"))
    assert (got.message_body, got.message_tag, got.message_id) == (odd, "paid", sent[0].message_id)
    assert got.message_body_md5 == sent[0].message_body_md5
    assert (got.properties["amount"], got.get_message_key()) == ("120", "k1 k2")
    assert (got.consumed_times, got.next_consume_time - got.first_consume_time) == (1, 300_000)
    assert before - 1000 <= got.publish_time <= got.first_consume_time

    consumer = mq.get_consumer("", "orders", "all")
    found = consume(consumer)
    assert sorted(one.message_body for one in found) == sorted([odd, "second", "third"])
    assert consume(consumer, wait=1) == [], "they are invisible"
    consumer.ack_message([one.receipt_handle for one in found])
    assert sql(server, "SELECT count(*) AS n FROM system.deliveries WHERE group_id = 'all'") == [{"n": 0}]
    with pytest.raises(MQServerException) as wrong:
        consumer.ack_message([found[0].receipt_handle, "no receipt"])
    codes = [error["ErrorCode"] for error in wrong.value.sub_errors]
    assert codes == ["ReceiptHandleError"] * len(codes) and "no receipt" in [e["ReceiptHandle"] for e in wrong.value.sub_errors]


def test_order_delay_and_namespaces(serve):
    server = serve()
    mq = client(server)
    producer = mq.get_producer("shop", "steps")
    for number in range(6):
        one = message(f"{number % 2}-{number // 2}")
        one.set_sharding_key(f"g{number % 2}")
        producer.publish_message(one)
    assert sql(server, "SELECT count(*) AS n FROM shop.steps") == [{"n": 6}]
    consumer = mq.get_consumer("shop", "steps", "workers")
    seen = {"0": [], "1": []}
    while len(seen["0"] + seen["1"]) < 6:
        part = consume(consumer, ordered=True)
        assert part, seen
        for one in part:
            group, step = one.message_body.split("-")
            assert one.get_sharding_key() == f"g{group}"
            assert one.next_consume_time - one.first_consume_time == 60_000
            seen[group].append(int(step))
        consumer.ack_message([one.receipt_handle for one in part])
    assert seen == {"0": [0, 1, 2], "1": [0, 1, 2]}

    late = message("late")
    due = int(time.time() * 1000) + 2_000
    late.set_start_deliver_time(due)
    mq.get_producer("", "later").publish_message(late)
    consumer = mq.get_consumer("", "later", "g")
    found = []
    eventually(lambda: found.extend(consume(consumer)) or found, 30, "it is due")
    assert found[0].message_body == "late" and time.time() * 1000 >= due


def test_what_a_consumer_that_has_gone_was_given_goes_to_others(serve):
    server = serve()
    mq = client(server)
    producer = mq.get_producer("", "orders")
    consumer = mq.get_consumer("", "orders", "g")
    producer.publish_message(message("first"))
    consumer.ack_message([one.receipt_handle for one in consume(consumer)])
    host, port = server.http.rsplit(":", 1)
    for number in range(10):
        # It waits for messages, and is gone at about the time when one comes.
        with socket.create_connection((host, int(port))) as gone:
            path = "/topics/orders/messages?consumer=g&numOfMessages=16&waitseconds=30"
            gone.sendall(f"GET {path} HTTP/1.1\r\nHost: {server.http}\r\nx-mq-version: 2015-06-06\r\n\r\n".encode())
            time.sleep(0.2)
            if number % 2:
                producer.publish_message(message(f"m{number}"))
        if number % 2 == 0:
            producer.publish_message(message(f"m{number}"))
        found = []
        # What is handed out is invisible for five minutes.
        eventually(lambda: found.extend(consume(consumer)) or found, 60, "it is given to who is there")
        assert [one.message_body for one in found] == [f"m{number}"]
        consumer.ack_message([one.receipt_handle for one in found])


def test_what_comes_another_way_and_what_is_refused(serve):
    server = serve()
    mq = client(server)
    with pytest.raises(MQServerException) as missing:
        mq.get_consumer("", "nowhere", "g").consume_message(1)
    assert missing.value.type == "TopicNotExist"
    server.cli("sql", "-c", "CREATE TABLE mixed OF MESSAGES WITH (kind = 'any', partitions = 1)")
    server.cli("sql", "-c", "INSERT INTO mixed (tag, body) VALUES ('raw', X'00FF'), ('plain', X'61')")
    consumer = mq.get_consumer("", "mixed", "g")
    found = {one.message_tag: one for one in consume(consumer)}
    assert found["plain"].message_body == "a" and found["plain"].message_id
    # XML holds neither zero bytes nor what is no text.
    assert base64.b64decode(found["raw"].message_body) == b"\x00\xff"
    assert found["raw"].properties == {"MILLSTREAM_BODY_ENCODING": "base64"}

    half = message("half")
    half.set_trans_check_immunity_time(10)
    with pytest.raises(MQServerException) as refused:
        mq.get_producer("", "mixed").publish_message(half)
    assert refused.value.type == "NotImplemented"
    server.cli("sql", "-c", "CREATE TABLE strict OF MESSAGES WITH (kind = 'ordered')")
    with pytest.raises(MQServerException) as refused:
        mq.get_producer("", "strict").publish_message(message("no group"))
    assert refused.value.type == "InvalidArgument"

    def raw(body: bytes, **headers: str) -> int:
        request = urllib.request.Request(f"http://{server.http}/topics/mixed/messages", body, headers)
        try:
            return urllib.request.urlopen(request, timeout=30).status
        except urllib.error.HTTPError as error:
            assert b"<Error xmlns=" in error.read()
            return error.code

    assert raw(b"<Message><MessageBody>x</MessageBody></Message>") == 201
    assert [raw(b""), raw(b"<Message>"), raw(b"\xff"), raw(b"<Message/>")] == [400] * 4
    # A page of another site sends nothing.
    assert raw(b"<Message><MessageBody>x</MessageBody></Message>", Origin="http://evil.example") == 403
    assert sql(server, "SELECT count(*) AS n FROM mixed") == [{"n": 3}]
