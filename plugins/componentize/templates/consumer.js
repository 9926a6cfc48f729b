// Counts late departures by airport: those that are late by more than an hour, or by as many minutes as the configuration
// says. Each batch gives, for the airports that it touches, how many there have been so far. State belongs to a partition:
// the topic's table is to be partitioned by `origin`, so that all flights of an airport come to the same one.
import { consumer } from "./millstream/millstream.js";
import * as state from "./millstream/state.js";

let minutes = 60;

export const batchConsumer = consumer({
    name: "PLUGIN_NAME",

    // The columns that the plugin reads. Nothing else is sent to it.
    parameters: { origin: "Utf8", dep_delay: "Float32" },

    // What it writes. CREATE CONSUMER … WITH (output.late = '…') says into which table.
    outputs: { late: { origin: "Utf8", departures: "Int64" } },

    // Called once in each instance, with the text of WITH (config = '…').
    open(config) {
        if (config === "") return;
        minutes = Number(config);
        if (Number.isNaN(minutes)) throw `"${config}" is not a number of minutes`;
    },

    // Called with rows of one partition, in order. What the answer gives, what is put into state and the offset of the input
    // are committed together, or not at all.
    consume(batch) {
        const { origin, dep_delay: delay } = batch.columns;
        const [added, exceptions] = [new Map(), []];
        for (let row = 0; row < batch.rows; row++) {
            if (!origin.isValid(row)) {
                exceptions.push({ row, verdict: { giveUp: "it has no airport" } });
            } else if (delay.isValid(row) && delay.values[row] > minutes) {
                added.set(origin.get(row), (added.get(origin.get(row)) ?? 0) + 1);
            }
        }
        for (const [airport, count] of added) {
            const departures = Number(state.getText(airport) ?? 0) + count;
            state.put(airport, String(departures));
            added.set(airport, departures);
        }
        if (added.size === 0) return { exceptions };
        return { outputs: { late: { origin: [...added.keys()], departures: [...added.values()] } }, exceptions };
    },
});
