"""What Python programs do with RocketMQ's client over gRPC, one part a run. Prints a line a check; any failure raises."""

import os
import queue
import sys
import time

from rocketmq import (
    ClientConfiguration, ConsumeResult, Credentials, FilterExpression, Message, MessageListener, Producer, PushConsumer,
    SimpleConsumer, TransactionChecker, TransactionResolution,
)

# Without keys nothing is signed with.
keys = os.environ.get("ROCKETMQ_ACCESS_KEY", ""), os.environ.get("ROCKETMQ_SECRET_KEY", "")
configuration = ClientConfiguration(sys.argv[1], Credentials(*keys))
tls = sys.argv[3:] == ["tls"]


def message(topic: str, body: str) -> Message:
    made = Message()
    made.topic, made.body, made.tag = topic, body.encode(), "a"
    made.keys = "key"
    made.add_property("own", "1")
    return made


def take(consumer: SimpleConsumer, count: int) -> list[Message]:
    taken, end = [], time.monotonic() + 30
    while len(taken) < count:
        assert time.monotonic() < end, f"{len(taken)} messages instead of {count}"
        taken += consumer.receive(16, 15) or []
    return taken


def simple() -> None:
    producer = Producer(configuration, ("python-simple",), tls_enable=tls)
    producer.startup()
    receipts = [producer.send(message("python-simple", f"message {number}")) for number in range(10)]
    consumer = SimpleConsumer(configuration, "python-simple-group", {"python-simple": FilterExpression("a")}, tls_enable=tls)
    consumer.startup()
    taken = take(consumer, 10)
    assert {one.message_id for one in taken} == {receipt.message_id for receipt in receipts}
    assert all(one.properties == {"own": "1"} and one.tag == "a" for one in taken)
    for one in taken:
        consumer.ack(one)
    late = message("python-simple", "late")
    late.delivery_timestamp = int(time.time()) + 3
    producer.send(late)
    [one] = take(consumer, 1)
    assert one.body == b"late" and time.time() >= late.delivery_timestamp
    consumer.change_invisible_duration(one, 10)
    consumer.ack(one)
    print("sent, received and acknowledged")
    consumer.shutdown()
    producer.shutdown()


class Consumed(MessageListener):
    def __init__(self):
        super().__init__()
        self.bodies = queue.Queue()

    def consume(self, message: Message) -> ConsumeResult:
        self.bodies.put(message.body.decode())
        return ConsumeResult.SUCCESS


def push() -> None:
    producer = Producer(configuration, ("python-push",))
    producer.startup()
    listener = Consumed()
    consumer = PushConsumer(configuration, "python-push-group", listener, {"python-push": FilterExpression()})
    consumer.startup()
    for number in range(50):
        producer.send(message("python-push", f"message {number}"))
    bodies = sorted(listener.bodies.get(timeout=30) for _ in range(50))
    assert bodies == sorted(f"message {number}" for number in range(50))
    print("pushed")
    consumer.shutdown()
    producer.shutdown()


class Committed(TransactionChecker):
    def __init__(self):
        self.asked = queue.Queue()

    def check(self, message: Message) -> TransactionResolution:
        self.asked.put(message.body.decode())
        return TransactionResolution.COMMIT


def transactions() -> None:
    checker = Committed()
    producer = Producer(configuration, ("python-halves",), checker=checker)
    producer.startup()
    transaction = producer.begin_transaction()
    producer.send(message("python-halves", "committed"), transaction)
    transaction.commit()
    transaction = producer.begin_transaction()
    producer.send(message("python-halves", "asked"), transaction)
    assert checker.asked.get(timeout=60) == "asked"
    time.sleep(1)
    print("committed")
    producer.shutdown()


{"simple": simple, "push": push, "transactions": transactions}[sys.argv[2]]()
