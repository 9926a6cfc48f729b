// Key-value state of a consumer, which asks for the capability "state".
//
// Keys belong to the consumer and the partition of the batch at hand. Reads see the writes of the same call; those become
// durable together with the rows that the call gives and the offset of its input, or not at all. What is thrown says which
// limit was met. Keys are texts, or Uint8Arrays; values are the same.

import state from "millstream:plugin/state@0.2.0";
import { decode } from "./batch.js";
import { encode } from "./message.js";

/** The value of a key, a Uint8Array; null if it is not there. */
export function get(key) {
    return told(() => state.get(bytes(key)));
}

/** The same as a text. */
export function getText(key) {
    const value = get(key);
    return value === null || value === undefined ? null : decode(value);
}

/** Keys have 1 to 1,024 bytes, values at most 256 KiB; one call writes at most 65,536 keys and 2 MiB. */
export function put(key, value) {
    told(() => state.put(bytes(key), bytes(value)));
}

/** A key that is not there is no error. */
export function remove(key) {
    told(() => state.delete(bytes(key)));
}

/** Entries `{ key, value }` whose keys begin with `prefix`, in the order of the keys, from the first one behind `after` on; at
 * most `limit`, and fewer where they are many or large. An empty answer is the end. */
export function scan(prefix, after = null, limit = 1000) {
    return told(() => state.scan(bytes(prefix), after === null ? null : bytes(after), limit));
}

function bytes(value) {
    return typeof value === "string" ? encode(value) : value;
}

/** The contract's errors carry a text. */
function told(run) {
    try {
        return run();
    } catch (error) {
        throw error?.payload?.val ?? error;
    }
}
