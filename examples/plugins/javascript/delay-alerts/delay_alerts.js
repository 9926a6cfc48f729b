// Tells a webhook of late departures, a request each, at least once.
//
// The configuration is the URL, and behind a space how many minutes a late departure is delayed by more than; 60 if it says
// nothing. Each request has a key, the same whenever it is sent again, by which the receiver knows a repeat.
import { RequestError, send } from "./millstream/http.js";
import { consumer } from "./millstream/millstream.js";

/** How often an alert is sent in one call. The server waits before it gives the batch again. */
const TRIES = 3;

let url;
let minutes;

export const batchConsumer = consumer({
    name: "delay-alerts",
    parameters: {
        _offset: "Int64", ts: 'Timestamp(ms, "UTC")', carrier: "Utf8", origin: "Utf8", dep_delay: "Float32",
    },
    // It writes to no table and keeps no state.
    outputs: {},
    capabilities: [],
    // Whichever the operator names.
    hosts: ["*"],

    open(config) {
        if (config === "") throw "the configuration is empty; it is a URL and, behind a space, a number of minutes";
        let late;
        [url, late] = config.split(" ");
        minutes = Number(late ?? 60);
        if (Number.isNaN(minutes)) throw `"${late}" is not a number of minutes`;
    },

    consume(batch, { topic, partition }) {
        const { _offset: offset, ts, carrier, origin, dep_delay: delay } = batch.columns;
        const exceptions = [];
        for (let row = 0; row < batch.rows; row++) {
            if (!delay.isValid(row) || delay.values[row] <= minutes) continue;
            // Batches are cut otherwise when they come again; the row's own place stays.
            const key = `${topic}/${partition}/${offset.get(row)}`;
            const departure = ts.get(row);
            const alert = {
                key,
                departure_ms: departure === null ? null : Number(departure),
                carrier: carrier.get(row),
                origin: origin.get(row),
                delay_minutes: delay.values[row],
            };
            const verdict = tell(key, JSON.stringify(alert));
            // Nothing of this call is kept; those that were taken are sent once more, with the same keys.
            if (verdict?.retry) return { verdict };
            if (verdict) exceptions.push({ row, verdict });
        }
        return { exceptions };
    },
});

/** A receiver that fails at times would never take a large batch whole: each alert is tried a few times. */
function tell(key, body) {
    let verdict = tellOnce(key, body);
    for (let tried = 1; tried < TRIES && verdict?.retry; tried++) verdict = tellOnce(key, body);
    return verdict;
}

/** Nothing if the alert was taken, or a verdict: the receiver may take it later, or never will. */
function tellOnce(key, body) {
    const headers = { "content-type": "application/json", "idempotency-key": key };
    try {
        const { status } = send({ method: "POST", url, headers, body, timeoutMs: 5_000 });
        if (status >= 200 && status < 300) return undefined;
        const why = `${key}: status ${status}`;
        return status === 408 || status === 429 || status >= 500 ? { retry: why } : { giveUp: why };
    } catch (error) {
        if (!(error instanceof RequestError)) throw error;
        const why = `${key}: ${error.message}`;
        return ["unreachable", "timed-out", "denied"].includes(error.kind) ? { retry: why } : { giveUp: why };
    }
}
