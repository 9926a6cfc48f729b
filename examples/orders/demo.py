"""Messages, with RocketMQ's own clients: a shop sells seats on flights.

A server of its own, and beside it programs that know nothing of Millstream: `Shop.java` with rocketmq-client 4.9.8 over remoting,
and `shop.py` with rocketmq-python-client over gRPC. Each step is one function below, and shows each statement of SQL that it uses:

1. orders come in from both clients, with keys, tags, properties and, so that each customer's stay in order, groups;
2. a Wasm filter (`examples/plugins/card-check`) and a SQL topic say which become tickets; an orderly consumer gets exactly those;
3. a transactional producer is killed before it has decided: a plugin (`examples/plugins/seat-orders`) decides by the table of flights;
4. reminders wait for their time while the server is killed, and come on time and once.

`make demo` builds what it takes and runs it after `millstream demo`; afterwards it can be run alone:

    $MILLSTREAM_CACHE/orders/bin/python examples/orders/demo.py

What must come out is computed here, from what is sent. Whatever differs ends it with 1. Orders are drawn at random; SEED=n draws them
again.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from programs import GUESTS, JARS, JAVA_CLIENT, Program, Server, Stage, Wrong, check, eventually, step, tail, tell

# A customer stays with one client: those of 4.x choose the queue of a group by themselves, and choose otherwise than the server.
BY_JAVA, BY_PYTHON = ["ada", "ben", "cora"], ["dora", "emil", "finn"]
ORDERS = 120
# One has left, and one was cancelled.
LEFT, CANCELLED = "UA 1545", "AA 1141"
# RocketMQ's delay levels, which clients name by their numbers.
LEVELS_S = {2: 5, 3: 10}
# How late a reminder may become visible, and how late it may be in a consumer's hands, who first has to connect again.
LATE_S, CONSUMED_LATE_S = 5.0, 15.0


@dataclass(frozen=True)
class Order:
    key: str
    customer: str
    tag: str
    card: str
    is_card: bool
    flight: str

    @property
    def body(self) -> str:
        return json.dumps({"flight": self.flight, "seats": 1 + len(self.customer) % 3})

    @property
    def line(self) -> str:
        return "\t".join([self.customer, self.key, self.tag, self.card, self.body])

    @property
    def is_ticket(self) -> bool:
        return self.tag == "paid" and self.is_card


def draw_orders(chance: random.Random) -> list[Order]:
    """Some are only reserved, and some cards can't be."""
    orders = []
    for number in range(ORDERS):
        is_card = chance.random() < 0.8
        orders.append(Order(
            key=f"order-{number}", customer=chance.choice(BY_JAVA + BY_PYTHON), tag=chance.choice(["paid", "paid", "paid", "reserved"]),
            card=draw_card(chance, is_card), is_card=is_card, flight=chance.choice(["UA 1545", "B6 725", "DL 461"]),
        ))
    return orders


def draw_card(chance: random.Random, holds: bool) -> str:
    """Sixteen digits whose last one checks the others, or does not."""
    digits = [chance.randrange(10) for _ in range(15)]
    # Luhn: every second digit counts twice, and by the sum of its digits then.
    total = sum(sum(divmod(2 * digit, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    last = -total % 10 if holds else (-total + chance.randrange(1, 10)) % 10
    return "".join(map(str, [*digits, last]))


def main() -> None:
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    # Whoever ends the demo ends what it has started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))
    with tempfile.TemporaryDirectory(prefix="millstream-orders-") as directory:
        stage = Stage(Path(directory))
        try:
            show(stage, draw_orders(random.Random(seed)))
        except Wrong as wrong:
            said = f"\n{wrong.said}" if wrong.said else ""
            sys.exit(f"wrong: {wrong}{said}\nthe server's log ends with:\n{tail(stage.server_log)}\nseed {seed}")
        except KeyboardInterrupt:
            sys.exit("interrupted")
        finally:
            stage.end()
    print("\nEverything that came out is what was sent.", flush=True)


def show(stage: Stage, orders: list[Order]) -> None:
    for needed in [GUESTS / "card_check.wasm", GUESTS / "seat_orders.wasm", JARS / f"rocketmq-client-{JAVA_CLIENT}.jar"]:
        check(needed.exists(), f"{needed} is missing; scripts/build-guests and scripts/setup orders bring it")
    stage.compile_java()
    server = Server(stage)
    orders_come_in(stage, server, orders)
    consumer = tickets_go_out(stage, server, orders)
    a_plugin_decides(stage, server, orders, consumer)
    reminders_come_on_time(stage, server)
    server.stop()


def orders_come_in(stage: Stage, server: Server, orders: list[Order]) -> None:
    step("Orders come in from RocketMQ's own clients, as they are in Maven Central and PyPI")
    server.sql("CREATE TABLE orders OF MESSAGES WITH (kind = 'any', partitions = 4)")
    clients = [
        (stage.java(server, "orders"), BY_JAVA, f"Java, rocketmq-client {JAVA_CLIENT} over remoting"),
        (stage.python(server, "orders"), BY_PYTHON, f"Python, rocketmq-python-client {version('rocketmq-python-client')} over gRPC"),
    ]
    for program, customers, _ in clients:
        program.give([order.line for order in orders if order.customer in customers])
    for program, customers, name in clients:
        program.finish()
        sent = [order.key for order in orders if order.customer in customers]
        check(program.lines == sent, f"{name}: not all sends were acknowledged")
        tell(f"{name}: {len(sent)} orders of {', '.join(customers)}, all acknowledged")
    columns = "message_group, keys, tag, property(properties, 'card') AS card, CAST(body AS VARCHAR) AS body"
    rows = server.sql(f"SELECT {columns}, _partition FROM orders ORDER BY _partition, _offset")
    for customer in BY_JAVA + BY_PYTHON:
        found = [row for row in rows if row["message_group"] == customer]
        expected = [(customer, [order.key], order.tag, order.card, order.body) for order in orders if order.customer == customer]
        named = [(row["message_group"], row["keys"], row["tag"], row["card"], row["body"]) for row in found]
        check(named == expected, f"the orders of {customer} are not in the table as they were sent")
        check(len({row["_partition"] for row in found}) == 1, f"the orders of {customer} are in several partitions")
    check(len(rows) == len(orders), f"{len(rows)} orders are in the table, and {len(orders)} were sent")
    tell(f"{len(rows)} orders are in the table with all that was sent, each customer's in one partition and in order")


def tickets_go_out(stage: Stage, server: Server, orders: list[Order]) -> Program:
    step("A Wasm filter and a SQL topic say which orders become tickets")
    server.load_plugin("card_check", "card_check.wasm")
    server.sql("CREATE TOPIC tickets AS SELECT * FROM orders WHERE tag = 'paid' AND card_check(property(properties, 'card'))")
    consumer = stage.java(server, "tickets")
    tickets = [order for order in orders if order.is_ticket]
    consumer.wait_for(1 + len(tickets))
    got = consumer.lines[1:]
    check(sorted(got) == sorted(order.key for order in tickets), "the consumer got other orders than those that pass, or one twice")
    for customer in BY_JAVA + BY_PYTHON:
        mine = [order.key for order in tickets if order.customer == customer]
        check([key for key in got if key in mine] == mine, f"the tickets of {customer} came out of order")
    tell(f"an orderly consumer in Java got {len(got)} of {len(orders)}: those that are paid, by a card whose last digit is right,")
    tell("each once, and each customer's in order")
    return consumer


def a_plugin_decides(stage: Stage, server: Server, orders: list[Order], consumer: Program) -> None:
    step("A transactional producer is killed between its half messages and its decisions: a plugin decides")
    server.sql("CREATE TABLE flights (carrier VARCHAR, flight INT, dep_delay REAL)")
    left, cancelled = (flight.split() for flight in (LEFT, CANCELLED))
    server.sql(f"INSERT INTO flights VALUES ('{left[0]}', {left[1]}, 2.0), ('{cancelled[0]}', {cancelled[1]}, NULL)")
    server.load_plugin("seats", "seat_orders.wasm", "--table", "flights=flights")
    server.sql("CREATE CHECKBACK seats ON orders USING PLUGIN seats WITH (after = '5s', every = '1s')")
    producer = stage.java(server, "halves")
    card = next(order.card for order in orders if order.is_card)
    producer.give([f"\t{flight}\tpaid\t{card}\tone seat on {flight}" for flight in (LEFT, CANCELLED)])
    producer.wait_for(2)
    producer.kill()
    waiting = "SELECT transaction_id FROM system.transactions WHERE table_name = 'orders'"
    half = server.sql(waiting)
    seen = server.sql("SELECT count(*) AS n FROM orders")
    check(len(half) == 2, f"{len(half)} of 2 half messages wait")
    check(seen == [{"n": len(orders)}], "half messages are seen")
    tell(f"killed with SIGKILL; its orders for {LEFT} and {CANCELLED} wait, and nobody sees them")
    said = "SELECT committed, rolled_back FROM system.checkbacks WHERE name = 'seats'"
    [words] = eventually(lambda: [row for row in server.sql(said) if sum(row.values()) == 2], "the plugin's word on both")
    check(words == {"committed": 1, "rolled_back": 1}, f"the plugin has not committed one and rolled back the other: {words}")
    check(server.sql(waiting) == [], "half messages wait after the plugin's word")
    bodies = server.sql("SELECT CAST(body AS VARCHAR) AS body FROM orders WHERE message_group IS NULL")
    check(bodies == [{"body": f"one seat on {LEFT}"}], f"after the plugin's word there is {bodies}")
    tell(f"the plugin looked them up: {LEFT} has left and is committed, {CANCELLED} was cancelled and is rolled back")
    tickets = 1 + sum(order.is_ticket for order in orders)
    consumer.wait_for(1 + tickets)
    consumer.finish()
    nothing_is_left(server, "ticketing", "tickets")
    came = consumer.lines[tickets:]
    check(came == [LEFT], f"of the transactions the consumer got {came}")
    tell("the consumer got the one that was committed, and nothing else")


def reminders_come_on_time(stage: Stage, server: Server) -> None:
    step("Reminders wait for their time, and the server is killed meanwhile")
    server.sql("CREATE TABLE reminders OF MESSAGES WITH (kind = 'delayed')")
    wanted = send_reminders(stage.java(server, "remind"), stage.python(server, "remind"))
    tell(f"4 by delay level from Java, for in {' or '.join(map(str, LEVELS_S.values()))} s; 4 to a time from Python, for in 7 to 10 s")
    [waiting] = server.sql("SELECT count(*) AS n FROM system.delayed_messages WHERE table_name = 'reminders'")
    check(waiting["n"] > 0, "no reminder waits any more")
    server.kill()
    killed = time.time()
    # It stays down until two of them should have come.
    eventually(lambda: time.time() > sorted(wanted.values())[1], "the second reminder's time")
    server.start()
    ready = time.time()
    tell(f"killed with SIGKILL while {waiting['n']} of {len(wanted)} were waiting, and there again after {ready - killed:.1f} s")
    # It starts now: one of 4.9 that waits for messages when the server is killed does not notice for 30 s.
    consumer = stage.java(server, "reminded")
    consumer.wait_for(1 + len(wanted))
    consumer.finish()
    nothing_is_left(server, "reminding", "reminders")
    late_ms = [1000 * late for late in lateness(server, wanted, ready)]
    came = [(key, int(at) / 1000) for key, at in (line.split("\t") for line in consumer.lines[1:])]
    check(sorted(key for key, _ in came) == sorted(wanted), f"these came, and not each reminder once: {sorted(key for key, _ in came)}")
    for key, at in came:
        check(at >= wanted[key], f"{key} came {wanted[key] - at:.3f} s early")
        late = at - max(wanted[key], ready)
        check(late < CONSUMED_LATE_S, f"{key} came {late:.1f} s late")
    overdue = sum(due < ready for due in wanted.values())
    tell(f"{len(came)} came, each once and none before its time, which for {overdue} had passed when the server was there again;")
    tell(f"they were visible {max(late_ms):.0f} ms after their time at most, or after the start of the server")


def send_reminders(java: Program, python: Program) -> dict[str, float]:
    """By their keys, since when they may come, in seconds since 1970."""
    for program in (java, python):
        program.wait_for(1)
    now_s = int(time.time())
    wanted = {f"python-{seconds}": now_s + seconds for seconds in (7, 8, 9, 10)}
    python.give([f"{key}\t{due}" for key, due in wanted.items()])
    levels = {f"java-{number}": level for number, level in enumerate([2, 2, 3, 3])}
    java.give([f"{key}\t{level}" for key, level in levels.items()])
    for program in (java, python):
        program.finish()
    check(python.lines[1:] == list(wanted), "not all reminders from Python were acknowledged")
    begun = dict(line.split("\t") for line in java.lines[1:])
    check(list(begun) == list(levels), "not all reminders from Java were acknowledged")
    return {**wanted, **{key: int(begun[key]) / 1000 + LEVELS_S[level] for key, level in levels.items()}}


def lateness(server: Server, wanted: dict[str, float], ready: float) -> list[float]:
    """How long after its time each reminder became visible, in seconds; or after the server was ready."""
    rows = server.sql("SELECT keys, deliver_ts, _append_ts FROM reminders")
    check(sorted(row["keys"][0] for row in rows) == sorted(wanted), "the table does not have each reminder once")
    late = []
    for row in rows:
        key, due, visible = row["keys"][0], seconds_of(row["deliver_ts"]), seconds_of(row["_append_ts"])
        check(due >= wanted[key], f"{key} was kept for {wanted[key] - due:.3f} s before the time that was asked for")
        check(visible >= due, f"{key} was visible {due - visible:.3f} s early")
        late.append(visible - max(due, ready))
        check(late[-1] < LATE_S, f"{key} was visible {late[-1]:.3f} s late")
    return late


def seconds_of(time_stamp: str) -> float:
    return datetime.fromisoformat(time_stamp.replace("Z", "+00:00")).timestamp()


def nothing_is_left(server: Server, group: str, topic: str) -> None:
    """Of a consumer that has ended: it has committed all there is, so that nothing can come once more."""
    committed = f"group_id = '{group}' AND topic = '{topic}' AND \"partition\" = _partition"
    [left] = server.sql(f"SELECT count(*) AS n FROM {topic} LEFT JOIN system.offsets ON {committed} "
                        "WHERE committed_offset IS NULL OR _offset >= committed_offset")
    check(left["n"] == 0, f"{left['n']} of {topic} are not committed by {group}")


main()
