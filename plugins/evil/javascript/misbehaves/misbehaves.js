// Fails in the way that its configuration names: spin, error, throw, memory, recurse.
import { filter } from "./millstream/millstream.js";

let what;

const ways = {
    spin() { for (;;); },
    error() { throw "these rows are not to my taste"; },
    throw() { return what.of.nothing; },
    memory() { for (const kept = [];;) kept.push(new Uint8Array(1 << 20).fill(1)); },
    recurse: (depth) => ways.recurse(depth + 1) + 1,
};

export const batchFilter = filter({
    name: "misbehaves",
    parameters: { value: "Float64" },
    open(config) { what = config; },
    filter: (batch) => ways[what] === undefined ? batch.select(() => true) : ways[what](0),
});
