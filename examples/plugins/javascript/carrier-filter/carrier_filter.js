// Keeps departures of one carrier that are more than an hour late. The carrier is the configuration.
import { filter } from "./millstream/millstream.js";

let wanted;

export const batchFilter = filter({
    name: "carrier-filter",
    parameters: { carrier: "Utf8", dep_delay: "Float32" },

    open(config) {
        if (config === "") throw "the configuration must name a carrier, such as 'UA'";
        wanted = config;
    },

    filter(batch) {
        const { carrier, dep_delay: delay } = batch.columns;
        // Texts are made only where the cheaper conditions hold.
        return batch.select((row) => delay.values[row] > 60 && delay.isValid(row) && carrier.get(row) === wanted);
    },
});
