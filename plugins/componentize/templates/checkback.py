"""Decides on orders whose producer is gone before it has said whether they stand. A half message's `keys` is the number of an
order, and the table of orders has its state: one that is paid stands, one that is cancelled does not. What the table says nothing
of is asked about again, 15 times or as often as the configuration says, and then dropped."""

from millstream import checkback_plugin, tables

# The columns of the half messages that the plugin reads. `_checks` is how often a message was asked about before.
PARAMETERS = {"keys": "Utf8", "_checks": "Int32"}

# A table that rows are looked up in. CREATE PLUGIN … WITH (table.orders = '…') says which one that is.
ORDERS = tables.Table("orders", key={"number": "Utf8"}, columns={"state": "Utf8"})

checks = 15


def start(config):
    """Called once in each instance, with the text of WITH (config = '…')."""
    global checks
    if config:
        checks = int(config)


def check(batch):
    """Answers with a verdict for each row. After an error, such as that the table can't be read now, all are unknown."""
    keys, before = batch.columns["keys"], batch.columns["_checks"]
    found = ORDERS.find({"number": batch.map(keys.get)})
    states = found.batch.columns["state"]

    def verdict(row):
        order = found.row_of(row)
        state = None if order is None else states.get(order)
        if state == "paid":
            return "commit"
        return "rollback" if state == "cancelled" or (before.get(row) or 0) >= checks else "unknown"

    return batch.map(verdict)


Checkback = checkback_plugin("PLUGIN_NAME", PARAMETERS, check=check, open=start, tables=[ORDERS])
