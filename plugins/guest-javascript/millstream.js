// Write Millstream plugins in JavaScript. `millstream plugin build` puts this file into a project.
//
//     import { filter } from "./millstream/millstream.js";
//
//     export const batchFilter = filter({
//         name: "late-departures",
//         parameters: { dep_delay: "Float32" },
//         open(config) {},
//         filter: (batch) => batch.select((row) => batch.columns.dep_delay.get(row) > 60),
//     });
//
// A function is `export const scalarFunction = scalar({…})`, a transform `export const batchTransform = transform({…})`, a
// consumer `export const batchConsumer = consumer({…})`, a checkback handler `export const checkback = handler({…})`. All name the columns that they read with their Arrow types in
// `parameters`. `open(config)` is called once, before the first batch. What a plugin throws is the error that the operator
// sees. `capabilities` are those of plugin.toml, "clock", "random" and "state"; beside "tables" there, consumers and handlers
// list in `tables` what rows they look up, each a `table(…)` of "./tables.js", and beside "http" in `hosts` whom they send requests
// to with "./http.js".

import { Batch } from "./batch.js";
import { recordBatch, schema } from "./message.js";

export { Batch };

/** The export of a filter: `filter(batch)` answers with a bitmap; `batch.select` makes one. The answer must depend on the batch
 * and the configuration alone, unless `volatile` is true. */
export function filter({ name, parameters, volatile = false, capabilities = [], open, filter }) {
    const declared = Object.entries(parameters);
    return {
        describe: () => ({ ...described(name, declared, capabilities), volatility: volatility(volatile) }),
        open: (_schema, config) => told(() => { open?.(config); }),
        filter: (message) => told(() => filter(new Batch(message, declared))),
    };
}

/** The export of a function: `call(batch)` answers with an array of a value for each row, null for none; `batch.map` makes one.
 * `returns` is their Arrow type. Value and row as with a filter. */
export function scalar({ name, parameters, returns, volatile = false, capabilities = [], open, call }) {
    const declared = Object.entries(parameters);
    return {
        describe: () => ({ ...described(name, declared, capabilities), returns, volatility: volatility(volatile) }),
        open: (_schema, config) => told(() => { open?.(config); }),
        call: (message) => told(() => {
            const batch = new Batch(message, declared);
            return recordBatch([["result", returns]], { result: call(batch) }, batch.rows);
        }),
    };
}

/** The export of a transform. `columns` names the columns that come out with their Arrow types; where they depend on the
 * configuration it is a function that gives them, called after `open`. `transform(batch)` answers with
 * `{ rows, columns }`: an array of values for each column, and for each row that comes out the row it comes from, never
 * decreasing. What comes of a row depends on that row and the configuration alone. */
export function transform({ name, parameters, columns, capabilities = [], open, transform }) {
    const declared = Object.entries(parameters);
    let given;
    return {
        describe: () => described(name, declared, capabilities),
        open: (_schema, config) => told(() => {
            open?.(config);
            given = Object.entries(typeof columns === "function" ? columns() : columns);
            return schema(given);
        }),
        transform: (message) => told(() => {
            const { rows, columns } = transform(new Batch(message, declared));
            return { batch: recordBatch(given, columns, rows.length), rows };
        }),
    };
}

/** The export of a consumer. `outputs` names the tables that it writes to, each with its columns and their Arrow types.
 * `consume(batch, position)` answers with any of `outputs`, for each output `{ column: values }`; `verdict`, of the rows that
 * `exceptions` does not name; and `exceptions`, rising: `[{ row, verdict }]`. A verdict is `{ retry: why }` or
 * `{ giveUp: why }`; rows without one are done. `state` of "./state.js" is what lasts from call to call. */
export function consumer({ name, parameters, outputs, capabilities = ["state"], tables = [], hosts = [], open, consume }) {
    const declared = Object.entries(parameters);
    const written = Object.entries(outputs).map(([name, columns]) => ({ name, columns: Object.entries(columns) }));
    return {
        describe: () => ({
            ...described(name, declared, capabilities, tables, hosts),
            outputs: written.map(({ name, columns }) => ({ name, columns: columns.map(parameter) })),
        }),
        open: (_schema, config) => told(() => { open?.(config); }),
        consume: (message, position) => told(() => {
            const answer = consume(new Batch(message, declared), position) ?? {};
            return {
                outputs: Object.entries(answer.outputs ?? {}).map(([name, columns]) => rowsFor(written, name, columns)),
                verdict: verdict(answer.verdict),
                exceptions: (answer.exceptions ?? []).map((of) => ({ row: of.row, verdict: verdict(of.verdict) })),
            };
        }),
    };
}

/** The export of a checkback handler. `check(batch)` answers with an array of a verdict for each row, "commit", "rollback" or
 * "unknown"; `batch.map` makes one. What it throws makes all rows of the batch unknown. */
export function handler({ name, parameters, capabilities = [], tables = [], hosts = [], open, check }) {
    const declared = Object.entries(parameters);
    return {
        describe: () => described(name, declared, capabilities, tables, hosts),
        open: (_schema, config) => told(() => { open?.(config); }),
        check: (message) => told(() => check(new Batch(message, declared)).map(judged)),
    };
}

function judged(verdict) {
    if (!["commit", "rollback", "unknown"].includes(verdict)) throw `"${verdict}" is no verdict`;
    return verdict;
}

function rowsFor(written, name, columns) {
    const output = written.findIndex((table) => table.name === name);
    if (output < 0) throw `there is no output ${name}`;
    const declared = written[output].columns;
    const rows = columns[declared[0][0]]?.length ?? 0;
    return { output, batch: recordBatch(declared, columns, rows) };
}

function verdict(said) {
    if (said?.retry !== undefined) return { tag: "retry", val: String(said.retry) };
    if (said?.giveUp !== undefined) return { tag: "dead-letter", val: String(said.giveUp) };
    return { tag: "done" };
}

function described(name, declared, capabilities, tables = [], hosts = []) {
    const looked = ({ name, key, columns }) => ({ name, key: key.map(parameter), columns: columns.map(parameter) });
    const asked = [
        ...capabilities.map((tag) => ({ tag })),
        ...tables.map((table) => ({ tag: "table", val: looked(table) })),
        ...hosts.map((host) => ({ tag: "http", val: host })),
    ];
    return { name, parameters: declared.map(parameter), capabilities: asked };
}

function parameter([name, dataType]) {
    return { name, dataType };
}

function volatility(volatile) {
    return volatile ? "volatile" : "immutable";
}

/** The contract's errors are texts. */
function told(run) {
    try {
        return run();
    } catch (error) {
        throw typeof error === "string" ? error : String(error?.message ?? error);
    }
}
