// Rows of tables by key, of a consumer or a checkback handler that asks for the capability "tables".
//
//     const orders = table("orders", { key: { number: "Utf8" }, columns: { state: "Utf8" } });
//     export const checkback = handler({ tables: [orders], … });
//
// Which table that is, the operator says.

import tables from "millstream:plugin/tables@0.2.0";
import { Batch } from "./batch.js";
import { recordBatch } from "./message.js";

/** What `find` throws where the table can't be read now; later it may be. */
export class Unavailable extends Error {}

/** A table that rows are looked up in: what the plugin calls it, the columns that values are given for, and those that are
 * wanted, with their Arrow types. */
export function table(name, { key, columns }) {
    const [keys, wanted] = [Object.entries(key), Object.entries(columns)];
    return {
        name,
        key: keys,
        columns: wanted,

        /** The newest row of each key. `values` has an array of values for each column of the key, at most 65,536. `batch` has a
         * row for each key that was found, and `rowOf(key)` says which, by the key's place; null where there is none. A key that
         * holds a null has none. */
        find(values) {
            const rows = values[keys[0][0]]?.length ?? 0;
            const found = told(() => tables.lookup(name, recordBatch(keys, values, rows)));
            const places = new Map();
            found.rows.forEach((key, row) => places.set(key, row));
            return { batch: new Batch(found.batch, wanted), rowOf: (key) => places.get(key) ?? null };
        },
    };
}

/** The contract's errors carry a text. */
function told(run) {
    try {
        return run();
    } catch (error) {
        const { tag, val } = error?.payload ?? {};
        throw tag === "unavailable" ? new Unavailable(val) : val ?? error;
    }
}
