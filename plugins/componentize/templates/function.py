"""How fast a flight was over ground: miles an hour, from its distance in miles and its time in the air in minutes. With the
configuration 'km/h', in that."""

from millstream import function_plugin

factor = 60.0


def start(config):
    """Called once in each instance, with the text of WITH (config = '…')."""
    global factor
    if config not in ("", "km/h"):
        raise ValueError(f"the configuration is empty or 'km/h', not {config!r}")
    if config:
        factor = 60.0 * 1.609344


def speed(batch):
    """Called with up to 65,536 rows at a time; the answer has a value for each, or None."""
    distance, minutes = batch.columns["distance"], batch.columns["air_time"]

    def of_row(row):
        known = distance.is_valid(row) and minutes.is_valid(row) and minutes.values[row] > 0
        return distance.values[row] / minutes.values[row] * factor if known else None

    return batch.map(of_row)


# The columns that the plugin reads: nothing else is sent to it.
PARAMETERS = {"distance": "Float64", "air_time": "Float64"}

ScalarFunction = function_plugin("PLUGIN_NAME", PARAMETERS, returns="Float64", open=start, call=speed)
