// What happened at which airport: each flight gives its departure at the one and its arrival at the other. One that was
// cancelled, which has no departure delay, gives nothing.
import { transform } from "./millstream/millstream.js";

export const batchTransform = transform({
    name: "PLUGIN_NAME",

    // The columns that the plugin reads, nothing else is sent to it; and those that come out.
    parameters: { origin: "Utf8", dest: "Utf8", dep_delay: "Float32" },
    columns: { airport: "Utf8", event: "Utf8" },

    // Called with up to 65,536 rows at a time. `rows` says of each row that comes out which row it comes from.
    transform(batch) {
        const { origin, dest, dep_delay: delay } = batch.columns;
        const [rows, airport, event] = [[], [], []];
        for (let row = 0; row < batch.rows; row++) {
            if (!delay.isValid(row)) continue;
            rows.push(row, row);
            airport.push(origin.get(row), dest.get(row));
            event.push("departure", "arrival");
        }
        return { rows, columns: { airport, event } };
    },
});
