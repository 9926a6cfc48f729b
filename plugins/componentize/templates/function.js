// How fast a flight was over ground: miles an hour, from its distance in miles and its time in the air in minutes. With the
// configuration 'km/h', in that.
import { scalar } from "./millstream/millstream.js";

let factor = 60;

export const scalarFunction = scalar({
    name: "PLUGIN_NAME",

    // The columns that the plugin reads. Nothing else is sent to it.
    parameters: { distance: "Float64", air_time: "Float64" },
    returns: "Float64",

    // Called once in each instance, with the text of WITH (config = '…').
    open(config) {
        if (config === "") return;
        if (config !== "km/h") throw `the configuration is empty or 'km/h', not "${config}"`;
        factor = 60 * 1.609344;
    },

    // Called with up to 65,536 rows at a time; the answer has a value for each, or null.
    call(batch) {
        const { distance, air_time: minutes } = batch.columns;
        return batch.map((row) => {
            const known = distance.isValid(row) && minutes.isValid(row) && minutes.values[row] > 0;
            return known ? distance.values[row] / minutes.values[row] * factor : null;
        });
    },
});
