// Decides on orders whose producer is gone before it has said whether they stand. A half message's `keys` is the number of an
// order, and the table of orders has its state: one that is paid stands, one that is cancelled does not. What the table says
// nothing of is asked about again, 15 times or as often as the configuration says, and then dropped.
import { handler } from "./millstream/millstream.js";
import { table } from "./millstream/tables.js";

// A table that rows are looked up in. CREATE PLUGIN … WITH (table.orders = '…') says which one that is.
const orders = table("orders", { key: { number: "Utf8" }, columns: { state: "Utf8" } });

let checks = 15;

export const checkback = handler({
    name: "PLUGIN_NAME",

    // The columns of the half messages that the plugin reads. `_checks` is how often a message was asked about before.
    parameters: { keys: "Utf8", _checks: "Int32" },

    tables: [orders],

    // Called once in each instance, with the text of WITH (config = '…').
    open(config) {
        if (config === "") return;
        checks = Number(config);
        if (Number.isNaN(checks)) throw `"${config}" is not a number of checks`;
    },

    // Answers with a verdict for each row. After an error, such as that the table can't be read now, all are unknown.
    check(batch) {
        const { keys, _checks: before } = batch.columns;
        const found = orders.find({ number: batch.map((row) => keys.get(row)) });
        return batch.map((row) => {
            const order = found.rowOf(row);
            const state = order === null ? null : found.batch.columns.state.get(order);
            if (state === "paid") return "commit";
            return state === "cancelled" || before.get(row) >= checks ? "rollback" : "unknown";
        });
    },
});
