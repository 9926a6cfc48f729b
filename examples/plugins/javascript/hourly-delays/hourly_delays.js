// Late departures by airport and hour. It runs over a table that is partitioned by airport, because state belongs to a
// partition. Sums are kept in state; a batch appends one row for each hour that it touches, with that hour's sums so far.
//
// The configuration is how many minutes a late departure is delayed by more than; 60 if it is empty.
import { consumer } from "./millstream/millstream.js";
import * as state from "./millstream/state.js";

const TIME = 'Timestamp(ms, "UTC")';
const MS_PER_HOUR = 3_600_000;

let minutes = 60;

export const batchConsumer = consumer({
    name: "hourly-delays",
    parameters: { ts: TIME, origin: "Utf8", dep_delay: "Float32" },
    outputs: { hours: { origin: "Utf8", hour: TIME, late: "Int64", delay_minutes: "Float64" } },

    open(config) {
        if (config === "") return;
        minutes = Number(config);
        if (Number.isNaN(minutes)) throw `"${config}" is not a number of minutes`;
    },

    consume(batch) {
        const sums = [...added(batch.columns, batch.rows)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, sums]) => sums);
        for (const of of sums) {
            const key = `${of.origin} ${of.hour}`;
            const [late, delay] = JSON.parse(state.getText(key) ?? "[0, 0]");
            of.late += late;
            of.delay += delay;
            state.put(key, JSON.stringify([of.late, of.delay]));
        }
        if (sums.length === 0) return {};
        const column = (name) => sums.map((of) => of[name]);
        const hours = { origin: column("origin"), hour: column("hour"), late: column("late"), delay_minutes: column("delay") };
        return { outputs: { hours } };
    },
});

/** Of a batch: sums by airport and hour. */
function added({ ts, origin, dep_delay: delay }, rows) {
    const sums = new Map();
    for (let row = 0; row < rows; row++) {
        if (!(delay.isValid(row) && delay.values[row] > minutes && ts.isValid(row) && origin.isValid(row))) continue;
        const hour = Math.floor(Number(ts.values[row]) / MS_PER_HOUR) * MS_PER_HOUR;
        const key = `${origin.get(row)} ${String(hour).padStart(16)}`;
        const of = sums.get(key) ?? { origin: origin.get(row), hour, late: 0, delay: 0 };
        of.late += 1;
        of.delay += delay.values[row];
        sums.set(key, of);
    }
    return sums;
}
