// Keeps departures that are late: by more than an hour, or by as many minutes as the configuration says.
import { filter } from "./millstream/millstream.js";

let minutes = 60;

export const batchFilter = filter({
    name: "PLUGIN_NAME",

    // The columns that the plugin reads. Nothing else is sent to it.
    parameters: { dep_delay: "Float32" },

    // Called once in each instance, with the text of WITH (config = '…').
    open(config) {
        if (config === "") return;
        minutes = Number(config);
        if (Number.isNaN(minutes)) throw `"${config}" is not a number of minutes`;
    },

    // Called with up to 65,536 rows at a time.
    filter(batch) {
        const delay = batch.columns.dep_delay;
        return batch.select((row) => delay.values[row] > minutes && delay.isValid(row));
    },
});
