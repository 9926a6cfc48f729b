"""What goes out: Arrow's messages of columns, and of their schema."""

import re
import struct

from .batch import FORMATS

# The body of a message and every buffer in it begin at multiples of this, so that the host need not copy them again.
ALIGNMENT = 64
SCHEMA, RECORD_BATCH = 1, 3


def record_batch(declared, columns, rows):
    """The message of `rows` rows of the declared columns, [(name, type)]; `columns` has a list of values for each name."""
    made = [_column(name, data_type, columns[name], rows) for name, data_type in declared]
    buffers = [buffer for _, parts in made for buffer in parts]
    places, body = [], 0
    for buffer in buffers:
        places.append((body, len(buffer)))
        body += len(buffer) + -len(buffer) % ALIGNMENT
    metadata = _Metadata(RECORD_BATCH, body)
    _, nodes, places_at = metadata.table(metadata.header, [("q", rows), ("I", 0), ("I", 0)])
    metadata.pairs(nodes, [(rows, nulls) for nulls, _ in made])
    metadata.pairs(places_at, places)
    return metadata.framed() + b"".join(buffer + bytes(-len(buffer) % ALIGNMENT) for buffer in buffers)


def schema(declared):
    """The message of a schema; every column may hold nulls."""
    metadata = _Metadata(SCHEMA, 0)
    _, fields = metadata.table(metadata.header, [None, ("I", 0)])
    for at, (name, data_type) in metadata.tables(fields, declared):
        kind, of_type = _type_table(name, data_type)
        name_at, _, _, type_at = metadata.table(at, [("I", 0), ("B", 1), ("B", kind), ("I", 0)])
        metadata.text(name_at, name)
        places = metadata.table(type_at, of_type)
        if data_type.endswith('"UTC")'):
            metadata.text(places[1], "UTC")
    return metadata.framed()


def _column(name, data_type, values, rows):
    """How many nulls it has, and its buffers."""
    if len(values) != rows:
        raise ValueError(f"column {name} has {len(values)} values, and must have {rows}")
    nulls = sum(value is None for value in values)
    validity = b"" if nulls == 0 else _bits([value is not None for value in values])
    try:
        return nulls, [validity, *_buffers(data_type, values)]
    except (struct.error, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"column {name} has type {data_type}, which a value is not: {error}") from None


def _buffers(data_type, values):
    if data_type == "Boolean":
        return [_bits(values)]
    if data_type in ("Utf8", "Binary"):
        encode = (lambda text: text.encode("utf-8", "replace")) if data_type == "Utf8" else bytes
        parts = [b"" if value is None else encode(value) for value in values]
        offsets = [0]
        for part in parts:
            offsets.append(offsets[-1] + len(part))
        return [struct.pack(f"<{len(offsets)}i", *offsets), b"".join(parts)]
    code = FORMATS.get(data_type.split("(")[0])
    if code is None:
        raise TypeError("it is none that this helper writes")
    return [struct.pack(f"<{len(values)}{code}", *(0 if value is None else value for value in values))]


def _bits(values):
    bits = bytearray((len(values) + 7) // 8)
    for row, value in enumerate(values):
        if value:
            bits[row >> 3] |= 1 << (row & 7)
    return bytes(bits)


def _type_table(name, data_type):
    """The number of a type's table in Arrow's `Type`, and its fields."""
    if integer := re.fullmatch(r"(U?)Int(8|16|32|64)", data_type):
        return 2, [("i", int(integer[2])), ("B", int(not integer[1]))]
    if time := re.fullmatch(r'Timestamp\((s|ms|µs|ns)(, "UTC")?\)', data_type):
        return 10, [("h", ["s", "ms", "µs", "ns"].index(time[1])), ("I", 0) if time[2] else None]
    others = {
        "Float32": (3, [("h", 1)]), "Float64": (3, [("h", 2)]), "Binary": (4, []), "Utf8": (5, []), "Boolean": (6, []),
        "Date32": (8, [("h", 0)]),
    }
    if data_type not in others:
        raise ValueError(f"column {name} has type {data_type}, which this helper does not write")
    return others[data_type]


class _Metadata:
    """A FlatBuffer that is written from front to back: what an offset points to comes after it."""

    def __init__(self, kind, body):
        self.bytes = bytearray(4)
        _, _, self.header, _ = self.table(0, [("h", 4), ("B", kind), ("I", 0), ("q", body)])

    def framed(self):
        """The marker and the metadata, padded so that what follows is aligned."""
        padding = bytes(-(8 + len(self.bytes)) % ALIGNMENT)
        return b"\xff\xff\xff\xff" + struct.pack("<I", len(self.bytes) + len(padding)) + bytes(self.bytes) + padding

    def align(self, to, behind=0):
        """So that what comes `behind` bytes from here lies at a multiple of `to`."""
        self.bytes += bytes(-(len(self.bytes) + behind) % to)

    def link(self, at, target):
        """Makes the offset at `at` point to `target`."""
        struct.pack_into("<I", self.bytes, at, target - at)

    def table(self, at, fields):
        """A table of fields, (format, value) or None, that `at` points to. Gives where they lie."""
        length = 4 + 2 * len(fields)
        self.align(8, length)
        places, end = [], 4
        for field in fields:
            size = struct.calcsize("<" + field[0]) if field else 0
            end += -end % size if field else 0
            places.append(end if field else 0)
            end += size
        self.bytes += struct.pack(f"<{2 + len(fields)}H", length, end, *places)
        table = len(self.bytes)
        self.link(at, table)
        self.bytes += struct.pack("<i", length) + bytes(end - 4)
        for field, place in zip(fields, places):
            if field:
                struct.pack_into("<" + field[0], self.bytes, table + place, field[1])
        return [table + place for place in places]

    def pairs(self, at, pairs):
        """A list of pairs of 64-bit numbers that `at` points to."""
        self.align(8, 4)
        self.link(at, len(self.bytes))
        self.bytes += struct.pack("<I", len(pairs))
        for pair in pairs:
            self.bytes += struct.pack("<2q", *pair)

    def tables(self, at, items):
        """A list of tables that `at` points to. Gives an offset to link for each of `items`, with the item."""
        self.align(4)
        self.link(at, len(self.bytes))
        self.bytes += struct.pack("<I", len(items))
        first = len(self.bytes)
        self.bytes += bytes(4 * len(items))
        return [(first + 4 * place, item) for place, item in enumerate(items)]

    def text(self, at, text):
        encoded = text.encode()
        self.align(4)
        self.link(at, len(self.bytes))
        self.bytes += struct.pack("<I", len(encoded)) + encoded + b"\0"
