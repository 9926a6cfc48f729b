"""The same shop with RocketMQ's 5.x client, `rocketmq-python-client` from PyPI, which speaks gRPC. Nothing in here knows that it
talks to Millstream: the endpoint is the first argument, what to do is the second one. Fields of lines are parted by tabs.
"""

import sys

from rocketmq import ClientConfiguration, Credentials, Message, Producer


def orders(producer: Producer) -> None:
    """Sends an order for each line, and says its key once it is acknowledged."""
    for line in sys.stdin:
        customer, key, tag, card, body = line.rstrip("\n").split("\t")
        message = Message()
        message.topic, message.tag, message.keys, message.body = "orders", tag, key, body.encode()
        message.add_property("card", card)
        # What a customer orders stays in order.
        message.message_group = customer
        producer.send(message)
        print(key, flush=True)


def remind(producer: Producer) -> None:
    """Sends a reminder for each line, to be delivered at a time in seconds since 1970, and says so."""
    print("ready", flush=True)
    for line in sys.stdin:
        key, due_s = line.rstrip("\n").split("\t")
        message = Message()
        message.topic, message.tag, message.keys, message.body = "reminders", "reminder", key, b"your flight leaves"
        message.delivery_timestamp = int(due_s)
        producer.send(message)
        print(key, flush=True)


def main() -> None:
    endpoint, part = sys.argv[1:]
    producer = Producer(ClientConfiguration(endpoint, Credentials()), ("orders" if part == "orders" else "reminders",))
    producer.startup()
    {"orders": orders, "remind": remind}[part](producer)
    producer.shutdown()


main()
