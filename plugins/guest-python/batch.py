"""What comes in: batches of columns, read from Arrow's messages. Columns are views of the message; nothing is copied."""

import struct

# As `struct` writes them.
FORMATS = {
    "Int8": "b", "Int16": "h", "Int32": "i", "Int64": "q", "UInt8": "B", "UInt16": "H", "UInt32": "I", "UInt64": "Q",
    "Float32": "f", "Float64": "d", "Date32": "i", "Timestamp": "q",
}


class Batch:
    """A batch of rows: `rows`, and `columns` by name."""

    def __init__(self, message, declared):
        meta = _Metadata(memoryview(message))
        self.rows = meta.rows
        self.columns = {name: _column(meta, name, data_type) for name, data_type in declared}

    def map(self, make):
        """What `make(row)` gives for each row."""
        return [make(row) for row in range(self.rows)]

    def select(self, keep):
        """The bitmap of the rows for which `keep(row)` is true."""
        bitmap = bytearray((self.rows + 7) // 8)
        for row in range(self.rows):
            if keep(row):
                bitmap[row >> 3] |= 1 << (row & 7)
        return bytes(bitmap)


class Column:
    """Values by row; None for null. `values` has a number for each row, null or not; texts have none."""

    def __init__(self, validity, values, read):
        self._validity = validity
        self.values = values
        self._read = read

    def is_valid(self, row):
        return self._validity is None or bool(self._validity[row >> 3] >> (row & 7) & 1)

    def get(self, row):
        return self._read(row) if self.is_valid(row) else None


def _column(meta, name, data_type):
    nulls = meta.nulls()
    validity = meta.buffer()
    if nulls == 0:
        validity = None
    values = meta.buffer()
    if data_type == "Boolean":
        return Column(validity, None, lambda row: bool(values[row >> 3] >> (row & 7) & 1))
    if data_type in ("Utf8", "Binary"):
        data, offsets = meta.buffer(), values.cast("i")
        if data_type == "Utf8":
            return Column(validity, None, lambda row: str(data[offsets[row] : offsets[row + 1]], "utf-8"))
        return Column(validity, None, lambda row: bytes(data[offsets[row] : offsets[row + 1]]))
    code = FORMATS.get(data_type.split("(")[0])
    if code is None:
        raise ValueError(f"column {name} has type {data_type}, which this helper does not read")
    numbers = values.cast(code)
    return Column(validity, numbers, numbers.__getitem__)


class _Metadata:
    """The metadata of a record-batch message, a FlatBuffer: rows, null counts and buffers in their order."""

    def __init__(self, message):
        self.message = message
        if self.number("I", 0) != 0xFFFFFFFF:
            raise ValueError("the message is no Arrow message")
        start = 8
        self.body = message[start + self.number("I", 4) :]
        root = start + self.number("I", start)
        if message[self.field(root, 1)] != 3:
            raise ValueError("the message is no record batch")
        header = self.follow(self.field(root, 2))
        length = self.field(header, 0)
        self.rows = self.number("q", length) if length else 0
        self.node = self.follow(self.field(header, 1)) + 4
        self.place = self.follow(self.field(header, 2)) + 4

    def number(self, code, at):
        return struct.unpack_from("<" + code, self.message, at)[0]

    def follow(self, at):
        return at + self.number("I", at)

    def field(self, table, slot):
        """Where a table's field lies; 0 where it has its default."""
        vtable = table - self.number("i", table)
        entry = 4 + 2 * slot
        distance = self.number("H", vtable + entry) if entry < self.number("H", vtable) else 0
        return table + distance if distance else 0

    def nulls(self):
        """How many nulls the next column has."""
        self.node += 16
        return self.number("q", self.node - 8)

    def buffer(self):
        """The next buffer."""
        at, length = self.number("q", self.place), self.number("q", self.place + 8)
        self.place += 16
        return self.body[at : at + length]
