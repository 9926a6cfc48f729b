"""Counts late departures by airport: those that are late by more than an hour, or by as many minutes as the configuration says.
Each batch gives, for the airports that it touches, how many there have been so far. State belongs to a partition: the topic's
table is to be partitioned by `origin`, so that all flights of an airport come to the same one."""

from collections import Counter

from millstream import Answer, consumer_plugin, state

# The columns that the plugin reads: nothing else is sent to it.
PARAMETERS = {"origin": "Utf8", "dep_delay": "Float32"}

# What it writes. CREATE CONSUMER … WITH (output.late = '…') says into which table.
OUTPUTS = {"late": {"origin": "Utf8", "departures": "Int64"}}

minutes = 60.0


def start(config):
    """Called once in each instance, with the text of WITH (config = '…')."""
    global minutes
    if config:
        minutes = float(config)


def count_late(batch, position):
    """Called with rows of one partition, in order. What the answer gives, what is put into state and the offset of the input
    are committed together, or not at all."""
    origin, delay = batch.columns["origin"], batch.columns["dep_delay"]
    answer, added = Answer(), Counter()
    for row in range(batch.rows):
        if not origin.is_valid(row):
            answer.give_up(row, "it has no airport")
        elif delay.is_valid(row) and delay.values[row] > minutes:
            added[origin.get(row)] += 1
    for airport in added:
        added[airport] += int(state.get(airport.encode()) or 0)
        state.put(airport.encode(), str(added[airport]).encode())
    if added:
        answer.rows("late", {"origin": list(added), "departures": list(added.values())})
    return answer


BatchConsumer = consumer_plugin("PLUGIN_NAME", PARAMETERS, outputs=OUTPUTS, open=start, consume=count_late)
