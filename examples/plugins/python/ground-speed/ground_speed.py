"""How fast a flight was over ground, from its distance in miles and its time in the air in minutes: in miles an hour, or with the
configuration 'km/h' in that."""

from millstream import function_plugin

KM_PER_MILE = 1.609344

factor = 60.0


def start(config):
    global factor
    if config not in ("", "mph", "km/h"):
        raise ValueError(f"the configuration is 'mph' or 'km/h', not {config!r}")
    factor = 60.0 * KM_PER_MILE if config == "km/h" else 60.0


def speed(batch):
    """None where either is unknown, and where a flight took no time at all."""
    distance, minutes = batch.columns["distance"], batch.columns["air_time"]
    miles, times = distance.values, minutes.values

    def of_row(row):
        known = distance.is_valid(row) and minutes.is_valid(row) and times[row] > 0.0
        return miles[row] / times[row] * factor if known else None

    return batch.map(of_row)


PARAMETERS = {"distance": "Float64", "air_time": "Float64"}

ScalarFunction = function_plugin("ground-speed", PARAMETERS, returns="Float64", open=start, call=speed)
