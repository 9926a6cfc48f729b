"""Write Millstream plugins in Python. `millstream plugin build` puts this package into a project.

    from millstream import filter_plugin

    def keep(batch):
        delay = batch.columns["dep_delay"]
        return batch.select(lambda row: (delay.get(row) or 0) > 60)

    BatchFilter = filter_plugin("late-departures", {"dep_delay": "Float32"}, filter=keep)

A function is `ScalarFunction = function_plugin(…)`, a transform `BatchTransform = transform_plugin(…)`, a consumer
`BatchConsumer = consumer_plugin(…)`, a checkback handler `Checkback = checkback_plugin(…)`. All take the plugin's name, and the
columns that they read with their Arrow types. `open(config)` is called once, before the first batch. What a plugin raises is the
error that the operator sees. `capabilities` are those of plugin.toml, "clock", "random" and "state"; beside "tables" there,
consumers and handlers list in `tables` what rows they look up, each a `millstream.tables.Table`, and beside "http" in `hosts` whom they
send requests to with `millstream.http`.
"""

from componentize_py_types import Err
from wit_world.imports import types

from .batch import Batch
from .message import record_batch, schema

__all__ = [
    "Answer", "Batch", "checkback_plugin", "consumer_plugin", "filter_plugin", "function_plugin", "transform_plugin",
]


def filter_plugin(name, parameters, *, filter, open=None, volatile=False, capabilities=()):
    """The class that exports a filter; the plugin's module calls it `BatchFilter`.

    `filter(batch)` answers with a bitmap; `Batch.select` makes one. The answer must depend on the batch and the configuration
    alone, unless `volatile` is true.
    """
    from wit_world.exports import batch_filter

    declared = list(parameters.items())

    class BatchFilter(_Opened):
        opened = _static(open)

        def describe(self):
            asked = _asked(capabilities)
            return batch_filter.Description(name, _parameters(declared), _volatility(volatile), asked)

        def filter(self, message):
            return _told(lambda: filter(Batch(message, declared)))

    return BatchFilter


def function_plugin(name, parameters, *, returns, call, open=None, volatile=False, capabilities=()):
    """The class that exports a function; the plugin's module calls it `ScalarFunction`.

    `call(batch)` answers with a list of a value for each row, None for null; `Batch.map` makes one. `returns` is their Arrow
    type. The answer must depend on the batch and the configuration alone, unless `volatile` is true.
    """
    from wit_world.exports import scalar_function

    declared = list(parameters.items())

    class ScalarFunction(_Opened):
        opened = _static(open)

        def describe(self):
            asked = _asked(capabilities)
            return scalar_function.Description(name, _parameters(declared), returns, _volatility(volatile), asked)

        def call(self, message):
            def answer():
                batch = Batch(message, declared)
                return record_batch([("result", returns)], {"result": call(batch)}, batch.rows)

            return _told(answer)

    return ScalarFunction


def transform_plugin(name, parameters, *, columns, transform, open=None, capabilities=()):
    """The class that exports a transform; the plugin's module calls it `BatchTransform`.

    `columns` names the columns that come out with their Arrow types; where they depend on the configuration it is a function
    that gives them, called after `open`. `transform(batch)` answers with `(rows, columns)`: for each row that comes out the
    row it comes from, never decreasing, and a list of values for each column. What comes of a row depends on that row and
    the configuration alone.
    """
    from wit_world.exports import batch_transform

    declared = list(parameters.items())
    given = []

    class BatchTransform:
        def describe(self):
            return batch_transform.Description(name, _parameters(declared), _asked(capabilities))

        def open(self, _schema, config):
            if open is not None:
                _told(open, config)
            given[:] = (_told(columns) if callable(columns) else columns).items()
            return _told(schema, given)

        def transform(self, message):
            def answer():
                rows, values = transform(Batch(message, declared))
                return batch_transform.Output(record_batch(given, values, len(rows)), rows)

            return _told(answer)

    return BatchTransform


def consumer_plugin(name, parameters, *, outputs, consume, open=None, capabilities=("state",), tables=(), hosts=()):
    """The class that exports a consumer; the plugin's module calls it `BatchConsumer`.

    `outputs` names the tables that it writes to, each with its columns and their Arrow types. `consume(batch, position)`
    answers with an `Answer`, or with None where there is nothing to say. `millstream.state` is what lasts from call to call.
    """
    from wit_world.exports import batch_consumer

    declared = list(parameters.items())
    written = {table: list(columns.items()) for table, columns in outputs.items()}

    def verdict(said):
        kind, why = said
        kinds = {"retry": batch_consumer.Verdict_Retry, "give_up": batch_consumer.Verdict_DeadLetter}
        return batch_consumer.Verdict_Done() if kind == "done" else kinds[kind](why)

    def rows_for(table, columns):
        if table not in written:
            raise ValueError(f"there is no output {table}")
        first, _ = written[table][0]
        message = record_batch(written[table], columns, len(columns[first]))
        return batch_consumer.Rows(list(written).index(table), message)

    class BatchConsumer(_Opened):
        opened = _static(open)

        def describe(self):
            writes = [batch_consumer.Output(table, _parameters(columns)) for table, columns in written.items()]
            return batch_consumer.Description(name, _parameters(declared), writes, _asked(capabilities, tables, hosts))

        def consume(self, message, position):
            def answer():
                said = consume(Batch(message, declared), position) or Answer()
                exceptions = [batch_consumer.RowVerdict(row, verdict(of)) for row, of in said.exceptions]
                rows = [rows_for(table, columns) for table, columns in said.outputs]
                return batch_consumer.Answer(rows, verdict(said.verdict), exceptions)

            return _told(answer)

    return BatchConsumer


def checkback_plugin(name, parameters, *, check, open=None, capabilities=(), tables=(), hosts=()):
    """The class that exports a checkback handler; the plugin's module calls it `Checkback`.

    `check(batch)` answers with a list of a verdict for each row, "commit", "rollback" or "unknown"; `Batch.map` makes one. What it
    raises makes all rows of the batch unknown.
    """
    from wit_world.exports import checkback

    declared = list(parameters.items())
    verdicts = {"commit": checkback.Verdict.COMMIT, "rollback": checkback.Verdict.ROLLBACK, "unknown": checkback.Verdict.UNKNOWN}

    def verdict(said):
        if said not in verdicts:
            raise ValueError(f"{said!r} is no verdict")
        return verdicts[said]

    class Checkback(_Opened):
        opened = _static(open)

        def describe(self):
            return checkback.Description(name, _parameters(declared), _asked(capabilities, tables, hosts))

        def check(self, message):
            return _told(lambda: [verdict(said) for said in check(Batch(message, declared))])

    return Checkback


class Answer:
    """What a consumer says of a batch: rows for its outputs, and verdicts. Rows without a verdict are done."""

    def __init__(self):
        self.outputs, self.exceptions, self.verdict = [], [], ("done", "")

    def rows(self, output, columns):
        """Adds rows for an output: a list of values for each of its columns."""
        self.outputs.append((output, columns))

    def retry(self, why):
        """All rows are to be given again, later; nothing of the call is kept."""
        self.verdict = ("retry", why)

    def give_up(self, row, why):
        """One row is given up. Rows are named in their order."""
        self.exceptions.append((row, ("give_up", why)))


class _Opened:
    """What most kinds do before the first batch."""

    def open(self, _schema, config):
        if self.opened is not None:
            _told(self.opened, config)


def _static(function):
    return None if function is None else staticmethod(function)


def _parameters(columns):
    return [types.Parameter(column, data_type) for column, data_type in columns]


def _volatility(volatile):
    return types.Volatility.VOLATILE if volatile else types.Volatility.IMMUTABLE


def _asked(capabilities, tables=(), hosts=()):
    known = {"clock": types.Capability_Clock, "random": types.Capability_Random, "state": types.Capability_State}
    looked = [types.TableUse(table.name, _parameters(table.key), _parameters(table.columns)) for table in tables]
    asked = [known[capability]() for capability in capabilities] + [types.Capability_Table(use) for use in looked]
    return asked + [types.Capability_Http(host) for host in hosts]


def _told(run, *arguments):
    """The contract's errors are texts."""
    try:
        return run(*arguments)
    except Exception as error:
        raise Err(str(error) or type(error).__name__) from None
