"""Keeps departures of one carrier that are more than an hour late. The carrier is the configuration."""

from millstream import filter_plugin

wanted = None


def start(config):
    global wanted
    if not config:
        raise ValueError("the configuration must name a carrier, such as 'UA'")
    wanted = config


def keep_late(batch):
    carrier, delay = batch.columns["carrier"], batch.columns["dep_delay"]
    minutes = delay.values
    # Texts are made only where the cheaper conditions hold.
    return batch.select(lambda row: minutes[row] > 60 and delay.is_valid(row) and carrier.get(row) == wanted)


BatchFilter = filter_plugin("carrier-filter", {"carrier": "Utf8", "dep_delay": "Float32"}, open=start, filter=keep_late)
