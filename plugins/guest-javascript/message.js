// What goes out: Arrow's messages of columns, and of their schema.

import { ARRAYS } from "./batch.js";

/** The body of a message and every buffer in it begin at multiples of this, so that the host need not copy them again. */
const ALIGNMENT = 64;
/** Different texts of a column that are kept as bytes while it is written. */
const MAX_KNOWN = 1024;
const SCHEMA = 1;
const RECORD_BATCH = 3;

/** The message of `rows` rows of the declared columns, `[[name, type]]`; `columns` has an array of values for each name. */
export function recordBatch(declared, columns, rows) {
    const made = declared.map(([name, type]) => column(name, type, columns[name], rows));
    const buffers = made.flatMap((column) => column.buffers);
    let body = 0;
    const places = buffers.map((buffer) => {
        const place = [body, buffer.length];
        body = up(body + buffer.length, ALIGNMENT);
        return place;
    });
    const metadata = new Metadata(RECORD_BATCH, body);
    const [, nodes, list] = metadata.table(metadata.header, [[8, rows], [4, 0], [4, 0]]);
    metadata.pairs(nodes, made.map((column) => [rows, column.nulls]));
    metadata.pairs(list, places);
    return framed(metadata, body, buffers);
}

/** The message of a schema; every column may hold nulls. */
export function schema(declared) {
    const metadata = new Metadata(SCHEMA, 0);
    const [, list] = metadata.table(metadata.header, [undefined, [4, 0]]);
    for (const [at, [name, type]] of metadata.tables(list, declared)) {
        const [kind, fields] = typeTable(name, type);
        const [nameAt, , , typeAt] = metadata.table(at, [[4, 0], [1, 1], [1, kind], [4, 0]]);
        metadata.text(nameAt, name);
        const places = metadata.table(typeAt, fields);
        if (type.endsWith('"UTC")')) metadata.text(places[1], "UTC");
    }
    return framed(metadata, 0, []);
}

function column(name, type, values, rows) {
    if (values?.length !== rows) throw `column ${name} has ${values?.length ?? "no"} values, and must have ${rows}`;
    const validity = new Uint8Array((rows + 7) >> 3);
    let nulls = 0;
    for (let row = 0; row < rows; row++) {
        if (values[row] === null || values[row] === undefined) nulls++;
        else validity[row >> 3] |= 1 << (row & 7);
    }
    const wrong = (value) => { throw `column ${name} has type ${type}, which ${typeof value} ${String(value)} is not`; };
    const fitting = { Boolean: bits, Utf8: texts, Binary: texts }[type] ?? numbers;
    return { nulls, buffers: [nulls === 0 ? new Uint8Array(0) : validity, ...fitting(type, values, wrong)] };
}

function numbers(type, values, wrong) {
    const array = ARRAYS[type.split("(")[0]];
    if (array === undefined) throw `${type} is a type that this helper does not write`;
    const made = new array(values.length);
    const isBig = made instanceof BigInt64Array || made instanceof BigUint64Array;
    const isFloat = type.startsWith("Float");
    for (let row = 0; row < values.length; row++) {
        const value = values[row];
        if (value === null || value === undefined) continue;
        if (typeof value !== "number" && !(isBig && typeof value === "bigint")) wrong(value);
        if (isBig && typeof value === "number" && !Number.isSafeInteger(value)) wrong(value);
        made[row] = isBig ? BigInt(value) : value;
        if (!isFloat && made[row] !== (isBig ? BigInt(value) : value)) wrong(value);
    }
    return [new Uint8Array(made.buffer)];
}

function bits(_type, values, wrong) {
    const made = new Uint8Array((values.length + 7) >> 3);
    values.forEach((value, row) => {
        if (value === true) made[row >> 3] |= 1 << (row & 7);
        else if (value !== false && value !== null && value !== undefined) wrong(value);
    });
    return [made];
}

function texts(type, values, wrong) {
    const offsets = new Int32Array(values.length + 1);
    const parts = [];
    // Texts come again and again in most columns.
    const known = new Map();
    let length = 0;
    for (let row = 0; row < values.length; row++) {
        const value = values[row];
        if (value !== null && value !== undefined) {
            let part = type === "Utf8" ? known.get(value) : value;
            if (part === undefined) {
                if (typeof value !== "string") wrong(value);
                part = encode(value);
                if (known.size < MAX_KNOWN) known.set(value, part);
            }
            if (!(part instanceof Uint8Array)) wrong(value);
            parts.push(part);
            length += part.length;
        }
        offsets[row + 1] = length;
    }
    const data = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
        data.set(part, at);
        at += part.length;
    }
    return [new Uint8Array(offsets.buffer), data];
}

/** UTF-8. Half a pair of surrogates becomes the replacement character. */
export function encode(text) {
    const bytes = [];
    for (let at = 0; at < text.length; at++) {
        const unit = text.charCodeAt(at);
        if (unit < 0x80) {
            bytes.push(unit);
            continue;
        }
        const found = text.codePointAt(at);
        if (found >= 0x10000) at++;
        const point = found >= 0xd800 && found < 0xe000 ? 0xfffd : found;
        const more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
        bytes.push([0, 0xc0, 0xe0, 0xf0][more] | point >> (6 * more));
        for (let left = more - 1; left >= 0; left--) bytes.push(0x80 | point >> (6 * left) & 0x3f);
    }
    return new Uint8Array(bytes);
}

/** The number of a type's table in Arrow's `Type`, and its fields. */
function typeTable(name, type) {
    const integer = /^(U?)Int(8|16|32|64)$/.exec(type);
    if (integer) return [2, [[4, Number(integer[2])], [1, integer[1] === "" ? 1 : 0]]];
    const time = /^Timestamp\((s|ms|µs|ns)(, "UTC")?\)$/.exec(type);
    if (time) return [10, [[2, ["s", "ms", "µs", "ns"].indexOf(time[1])], time[2] && [4, 0]]];
    const others = {
        Float32: [3, [[2, 1]]], Float64: [3, [[2, 2]]], Binary: [4, []], Utf8: [5, []], Boolean: [6, []], Date32: [8, [[2, 0]]],
    };
    if (others[type] === undefined) throw `column ${name} has type ${type}, which this helper does not write`;
    return others[type];
}

/** The marker and the metadata, padded so that what follows is aligned, and the body. */
function framed(metadata, body, buffers) {
    const length = up(8 + metadata.bytes.length, ALIGNMENT) - 8;
    const message = new Uint8Array(8 + length + body);
    message.fill(0xff, 0, 4);
    new DataView(message.buffer).setUint32(4, length, true);
    message.set(metadata.bytes, 8);
    let at = 8 + length;
    for (const buffer of buffers) {
        message.set(buffer, at);
        at = up(at + buffer.length, ALIGNMENT);
    }
    return message;
}

/** A FlatBuffer that is written from front to back: what an offset points to comes after it. */
class Metadata {
    constructor(kind, body) {
        this.bytes = [0, 0, 0, 0];
        [, , this.header] = this.table(0, [[2, 4], [1, kind], [4, 0], [8, body]]);
    }

    number(value, width) {
        for (; width > 0; width--) {
            this.bytes.push(value % 256);
            value = Math.floor(value / 256);
        }
    }

    /** So that what comes `behind` bytes from here lies at a multiple of `to`. */
    align(to, behind = 0) {
        while ((this.bytes.length + behind) % to !== 0) this.bytes.push(0);
    }

    /** Makes the offset at `at` point to `target`. */
    link(at, target) {
        for (let byte = 0; byte < 4; byte++) this.bytes[at + byte] = (target - at) >> (8 * byte) & 0xff;
    }

    /** A table of fields, `[width, value]` or nothing, that `at` points to. Gives where they lie. */
    table(at, fields) {
        const length = 4 + 2 * fields.length;
        this.align(8, length);
        let end = 4;
        const places = fields.map((field) => {
            if (!field) return 0;
            const place = up(end, field[0]);
            end = place + field[0];
            return place;
        });
        [length, end, ...places].forEach((number) => this.number(number, 2));
        const table = this.bytes.length;
        this.link(at, table);
        this.number(length, 4);
        fields.forEach((field) => {
            if (!field) return;
            this.align(field[0]);
            this.number(field[1], field[0]);
        });
        return places.map((place) => table + place);
    }

    /** A list of pairs of 64-bit numbers that `at` points to. */
    pairs(at, pairs) {
        this.align(8, 4);
        this.link(at, this.bytes.length);
        this.number(pairs.length, 4);
        pairs.flat().forEach((number) => this.number(number, 8));
    }

    /** A list of tables that `at` points to. Gives an offset to link for each of `items`, with the item. */
    tables(at, items) {
        this.align(4);
        this.link(at, this.bytes.length);
        this.number(items.length, 4);
        return items.map((item) => {
            this.number(0, 4);
            return [this.bytes.length - 4, item];
        });
    }

    text(at, text) {
        const bytes = encode(text);
        this.align(4);
        this.link(at, this.bytes.length);
        this.number(bytes.length, 4);
        this.bytes.push(...bytes, 0);
    }
}

function up(value, to) {
    return Math.ceil(value / to) * to;
}
