// What comes in: batches of columns, read from Arrow's messages. Columns are views of the message; nothing is copied.

/** What holds the values of a type, by the type's name without its parameters. */
export const ARRAYS = {
    Int8: Int8Array, Int16: Int16Array, Int32: Int32Array, Int64: BigInt64Array,
    UInt8: Uint8Array, UInt16: Uint16Array, UInt32: Uint32Array, UInt64: BigUint64Array,
    Float32: Float32Array, Float64: Float64Array, Date32: Int32Array, Timestamp: BigInt64Array,
};

/** A batch of rows: `rows`, and `columns` by name. */
export class Batch {
    constructor(message, declared) {
        const meta = new Metadata(message);
        this.rows = meta.rows;
        this.columns = {};
        for (const [name, type] of declared) this.columns[name] = column(meta, name, type);
    }

    /** What `make(row)` gives for each row. */
    map(make) {
        return Array.from({ length: this.rows }, (_, row) => make(row));
    }

    /** The bitmap of the rows for which `keep(row)` is true. */
    select(keep) {
        const bitmap = new Uint8Array((this.rows + 7) >> 3);
        for (let row = 0; row < this.rows; row++) {
            if (keep(row)) bitmap[row >> 3] |= 1 << (row & 7);
        }
        return bitmap;
    }
}

function column(meta, name, type) {
    const nulls = meta.nulls();
    const validity = meta.buffer();
    const isValid = nulls === 0 ? () => true : (row) => (validity[row >> 3] >> (row & 7) & 1) === 1;
    const values = meta.buffer();
    if (type === "Boolean") {
        return { isValid, get: (row) => isValid(row) ? (values[row >> 3] >> (row & 7) & 1) === 1 : null };
    }
    if (type === "Utf8" || type === "Binary") return texts(meta.buffer(), view(values, Int32Array), isValid, type === "Utf8");
    const array = ARRAYS[type.split("(")[0]];
    if (array === undefined) throw `column ${name} has type ${type}, which this helper does not read`;
    const numbers = view(values, array);
    return { isValid, values: numbers, get: (row) => isValid(row) ? numbers[row] : null };
}

function texts(data, offsets, isValid, isText) {
    const bytes = (row) => data.subarray(offsets[row], offsets[row + 1]);
    return { isValid, bytes, get: (row) => !isValid(row) ? null : isText ? decode(bytes(row)) : bytes(row) };
}

/** Of UTF-8, which the host has checked. */
export function decode(bytes) {
    let text = bytes.length < 1024 ? String.fromCharCode.apply(null, bytes) : "\x80";
    if (!/[^\x00-\x7f]/.test(text)) return text;
    text = "";
    for (let i = 0; i < bytes.length;) {
        const first = bytes[i++];
        const more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        let point = more === 0 ? first : first & (0x3f >> more);
        for (let left = more; left > 0; left--) point = point << 6 | bytes[i++] & 0x3f;
        text += String.fromCodePoint(point);
    }
    return text;
}

/** Typed arrays begin at multiples of their width, which a message of this contract keeps to within itself. */
function view(bytes, array) {
    const length = Math.floor(bytes.length / array.BYTES_PER_ELEMENT);
    const at = bytes.byteOffset;
    if (at % array.BYTES_PER_ELEMENT !== 0) return new array(bytes.slice().buffer, 0, length);
    return new array(bytes.buffer, at, length);
}

/** The metadata of a record-batch message, a FlatBuffer: rows, null counts and buffers in their order. */
class Metadata {
    constructor(message) {
        this.data = new DataView(message.buffer, message.byteOffset, message.byteLength);
        if (this.u32(0) !== 0xffffffff) throw "the message is no Arrow message";
        const start = 8;
        this.body = message.subarray(start + this.u32(4));
        const root = start + this.u32(start);
        if (this.data.getUint8(this.field(root, 1)) !== 3) throw "the message is no record batch";
        const header = this.follow(this.field(root, 2));
        const length = this.field(header, 0);
        this.rows = length === 0 ? 0 : this.long(length);
        this.node = this.follow(this.field(header, 1)) + 4;
        this.place = this.follow(this.field(header, 2)) + 4;
    }

    u32(at) { return this.data.getUint32(at, true); }
    long(at) { return Number(this.data.getBigInt64(at, true)); }
    follow(at) { return at + this.u32(at); }

    /** Where a table's field lies; 0 where it has its default. */
    field(table, slot) {
        const vtable = table - this.data.getInt32(table, true);
        const entry = 4 + 2 * slot;
        const distance = entry < this.data.getUint16(vtable, true) ? this.data.getUint16(vtable + entry, true) : 0;
        return distance === 0 ? 0 : table + distance;
    }

    /** How many nulls the next column has. */
    nulls() {
        this.node += 16;
        return this.long(this.node - 8);
    }

    /** The next buffer. */
    buffer() {
        const [at, length] = [this.long(this.place), this.long(this.place + 8)];
        this.place += 16;
        return this.body.subarray(at, at + length);
    }
}
