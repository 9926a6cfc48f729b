"""What happened at which airport: each flight gives its departure at the one and its arrival at the other. One that was
cancelled, which has no departure delay, gives nothing."""

from millstream import transform_plugin

# The columns that the plugin reads, nothing else is sent to it; and those that come out.
PARAMETERS = {"origin": "Utf8", "dest": "Utf8", "dep_delay": "Float32"}
COLUMNS = {"airport": "Utf8", "event": "Utf8"}


def events(batch):
    """Called with up to 65,536 rows at a time. `rows` says of each row that comes out which row it comes from."""
    origin, dest, delay = (batch.columns[name] for name in PARAMETERS)
    rows, airport, event = [], [], []
    for row in range(batch.rows):
        if delay.is_valid(row):
            rows += [row, row]
            airport += [origin.get(row), dest.get(row)]
            event += ["departure", "arrival"]
    return rows, {"airport": airport, "event": event}


BatchTransform = transform_plugin("PLUGIN_NAME", PARAMETERS, columns=COLUMNS, transform=events)
