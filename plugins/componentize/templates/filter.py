"""Keeps departures that are late: by more than an hour, or by as many minutes as the configuration says."""

from millstream import filter_plugin

minutes = 60.0


def start(config):
    """Called once in each instance, with the text of WITH (config = '…')."""
    global minutes
    if config:
        minutes = float(config)


def keep_late(batch):
    """Called with up to 65,536 rows at a time."""
    delay = batch.columns["dep_delay"]
    values = delay.values
    return batch.select(lambda row: values[row] > minutes and delay.is_valid(row))


# The columns that the plugin reads: nothing else is sent to it.
BatchFilter = filter_plugin("PLUGIN_NAME", {"dep_delay": "Float32"}, open=start, filter=keep_late)
