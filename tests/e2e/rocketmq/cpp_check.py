"""What Python programs do with the package ``rocketmq``, RocketMQ's C++ client in Python, one part a run. Prints a line a
check; any failure raises.
"""

import os
import sys
import threading
import time

from rocketmq.client import Message, Producer, PullConsumer, PushConsumer

server = sys.argv[1]
key, secret = os.environ.get("ROCKETMQ_ACCESS_KEY"), os.environ.get("ROCKETMQ_SECRET_KEY")


def begun(made):
    made.set_namesrv_addr(server)
    if key:
        made.set_session_credentials(key, secret, "")
    return made


def producer(group: str) -> Producer:
    made = begun(Producer(group))
    made.start()
    return made


def message(topic: str, tag: str, body: str) -> Message:
    made = Message(topic)
    made.set_keys(f"key-{body}")
    made.set_tags(tag)
    made.set_body(body)
    made.set_property("own", "1")
    return made


def taken(one) -> dict:
    """A received message lives no longer than its turn, so it is copied out."""
    return {"body": one.body.decode(), "topic": one.topic, "tag": one.tags, "keys": one.keys, "own": one["own"]}


def puller(group: str) -> PullConsumer:
    made = begun(PullConsumer(group))
    made.start()
    return made


def pulled(group: str, topic: str, expression: str):
    return puller(group).pull(topic, expression, 8)


def sends() -> None:
    topic = "cpp-sends"
    sender = producer("cpp-senders")
    expected = []
    for number in range(10):
        for tag in "abc":
            result = sender.send_sync(message(topic, tag, f"{tag}{number}"))
            assert result.status == 0 and result.msg_id, result
            if tag != "c":
                expected.append(f"{tag}{number}")
    for number in range(5):
        sender.send_oneway(message(topic, "a", f"one-way {number}"))
        expected.append(f"one-way {number}")
    answered = threading.Semaphore(0)
    for number in range(10):
        sender.send_async(message(topic, "b", f"async {number}"), lambda _: answered.release(), lambda error: print(error))
        expected.append(f"async {number}")
    for _ in range(10):
        assert answered.acquire(timeout=30), "an async send is not answered"
    sender.send_batch([message(topic, "a", f"batch {number}") for number in range(10)])
    expected += [f"batch {number}" for number in range(10)]
    large = "large " * 5_000
    sender.send_sync(message(topic, "a", large))
    expected.append(large)
    print("sent")
    came = [taken(one) for one in pulled("cpp-group", topic, "a || b")]
    assert sorted(one["body"] for one in came) == sorted(expected), [one["body"][:20] for one in came]
    [one] = [each for each in came if each["body"] == "b3"]
    assert (one["topic"], one["tag"], one["keys"], one["own"]) == (topic, b"b", b"key-b3", b"1"), one
    print("pulled by tags")
    sender.shutdown()


def delayed() -> None:
    topic = "cpp-delayed"
    sender = producer("cpp-delayed-senders")
    late = message(topic, "t", "late")
    late.set_delay_time_level(2)
    due = time.time() + 5
    sender.send_sync(late)
    reader = puller("cpp-delayed-group")
    came: list[dict] = []
    while not came:
        assert time.time() < due + 5, "nothing comes"
        came = [taken(one) for one in reader.pull(topic, "*", 8)]
    assert [one["body"] for one in came] == ["late"] and time.time() >= due, came
    print("none early")
    sender.shutdown()


def push() -> None:
    topic = "cpp-push"
    sender = producer("cpp-push-senders")
    sender.send_sync(message(topic, "c", "of another tag"))
    came: list[dict] = []
    reader = begun(PushConsumer("cpp-push-group"))
    # What its handler raises is lost: this package has no way to have a message come again.
    reader.subscribe(topic, lambda one: came.append(taken(one)), "a || b")
    reader.start()
    time.sleep(3)
    expected = sorted(f"{tag}{number}" for number in range(10) for tag in "ab")
    for body in expected:
        sender.send_sync(message(topic, body[0], body))
    end = time.time() + 60
    while len(came) < len(expected):
        assert time.time() < end, [one["body"] for one in came]
        time.sleep(0.05)
    time.sleep(1)
    assert sorted(one["body"] for one in came) == expected, [one["body"] for one in came]
    assert {one["own"] for one in came} == {b"1"}
    print("pushed by tags")
    reader.shutdown()
    sender.shutdown()


{"sends": sends, "delayed": delayed, "push": push}[sys.argv[2]]()
sys.stdout.flush()
# The library's threads and destructors would keep or crash the program at its end.
os._exit(0)
