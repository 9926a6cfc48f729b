//! What happened at which airport: each flight gives its departure at the one and its arrival at the other. One that was
//! cancelled, which has no departure delay, gives nothing.

use millstream_plugin::{Batch, DataType, Output, Parameter, Transform, Utf8Builder, export_transform};

struct Events;

impl Transform for Events {
    const NAME: &'static str = "PLUGIN_NAME";

    // The columns that the plugin reads. Nothing else is sent to it.
    const PARAMETERS: &'static [Parameter] = &[
        Parameter::new("origin", DataType::Utf8),
        Parameter::new("dest", DataType::Utf8),
        Parameter::new("dep_delay", DataType::Float32),
    ];

    // Called once in each instance, with the text of WITH (config = '…').
    fn open(_config: &str) -> Result<Self, String> {
        Ok(Events)
    }

    // The columns that come out.
    fn columns(&self) -> Vec<(String, DataType)> {
        vec![("airport".to_owned(), DataType::Utf8), ("event".to_owned(), DataType::Utf8)]
    }

    // Called with up to 65,536 rows at a time. `from` says of each row that comes out which row it comes from.
    fn transform(&self, batch: &Batch<'_>) -> Result<Output, String> {
        let (origin, dest) = (batch.utf8("origin")?, batch.utf8("dest")?);
        let delay = batch.primitive::<f32>("dep_delay")?;
        let (mut from, mut airport, mut event) = (Vec::new(), Utf8Builder::default(), Utf8Builder::default());
        for (row, number) in (0..batch.rows()).zip(0_u32..) {
            if delay.get(row).is_none() {
                continue;
            }
            for (place, what) in [(origin.get(row), "departure"), (dest.get(row), "arrival")] {
                from.push(number);
                airport.push_option(place);
                event.push_option(Some(what));
            }
        }
        Ok(Output::new(from, vec![airport.finish(), event.finish()]))
    }
}

export_transform!(Events);
