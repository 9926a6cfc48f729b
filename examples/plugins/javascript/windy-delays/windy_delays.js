// Late departures with the wind that blew in their hour, looked up in the table of weather.
//
// The configuration is how many minutes a late departure is delayed by more than; 60 if it is empty.
import { consumer } from "./millstream/millstream.js";
import { table, Unavailable } from "./millstream/tables.js";

const TIME = 'Timestamp(ms, "UTC")';
const MS_PER_HOUR = 3_600_000n;

const weather = table("weather", { key: { origin: "Utf8", ts: TIME }, columns: { wind_speed: "Float32" } });

let minutes = 60;

export const batchConsumer = consumer({
    name: "windy-delays",
    parameters: { ts: TIME, origin: "Utf8", dep_delay: "Float32" },
    outputs: { delays: { ts: TIME, origin: "Utf8", dep_delay: "Float32", wind_speed: "Float32" } },
    // It keeps no state.
    capabilities: [],
    tables: [weather],

    open(config) {
        if (config === "") return;
        minutes = Number(config);
        if (Number.isNaN(minutes)) throw `"${config}" is not a number of minutes`;
    },

    consume(batch) {
        const { ts, origin, dep_delay: delay } = batch.columns;
        const late = [];
        for (let row = 0; row < batch.rows; row++) {
            if (delay.isValid(row) && delay.values[row] > minutes) late.push(row);
        }
        if (late.length === 0) return {};
        const origins = late.map((row) => origin.get(row));
        let found;
        try {
            found = weather.find({ origin: origins, ts: late.map((row) => hour(ts.get(row))) });
        } catch (error) {
            if (error instanceof Unavailable) return { verdict: { retry: error.message } };
            throw error;
        }
        const speed = found.batch.columns.wind_speed;
        const wind_speed = late.map((_, key) => {
            const row = found.rowOf(key);
            return row === null ? null : speed.get(row);
        });
        const delays = late.map((row) => delay.values[row]);
        return { outputs: { delays: { ts: late.map((row) => ts.get(row)), origin: origins, dep_delay: delays, wind_speed } } };
    },
});

/** The hour of a time; BigInts are cut towards zero. */
function hour(time) {
    if (time === null) return null;
    const cut = (time / MS_PER_HOUR) * MS_PER_HOUR;
    return cut > time ? cut - MS_PER_HOUR : cut;
}
