//! Messages that a consumer's condition is asked about, on one thread: SQL92 over properties, and a Wasm filter in it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Schema};
use millstream_engine::message_schema;

use crate::report::{Figure, median};
use crate::store::{Store, guest};
use crate::{Result, Scale};

/// As many as the door looks at in one read.
const ROWS: usize = 16_384;
const ROUNDS: usize = 5;
/// Of the properties of each message; the condition is about some of them.
const CONDITION: &str = "amount > 100 AND region IN ('eu', 'us') AND carrier <> 'AA' OR TAGS = 'urgent'";
const WASM: &str = "amount > 100 AND united_late(carrier, dep_delay)";

/// Figures `selector_sql92` and `selector_wasm`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let time = scale.pick(Duration::from_millis(50), Duration::from_millis(700));
    let store = Store::open(|_| {})?;
    let module = guest("carrier_filter")?;
    store.sql(&format!("CREATE PLUGIN united_late FROM '{}' WITH (config = 'UA')", module.display()))?;
    let batch = messages()?;
    let rate = |expression: &str| -> Result<f64> {
        let filter = store.message_filter(expression)?;
        let mut rates = Vec::new();
        for _ in 0..=ROUNDS {
            let (begun, mut rows) = (Instant::now(), 0);
            while begun.elapsed() < time {
                black_box(filter.select(black_box(&batch))?);
                rows += ROWS;
            }
            rates.push(rows as f64 / begun.elapsed().as_secs_f64());
        }
        Ok(median(rates.split_off(1)))
    };
    let passing = |expression: &str| -> Result<usize> {
        Ok(store.message_filter(expression)?.select(&batch)?.passing.len() * 100 / ROWS)
    };
    let note = |expression| -> Result<String> {
        Ok(format!("`{expression}` on messages with five properties, one thread; {} % pass", passing(expression)?))
    };
    Ok(vec![
        Figure::reported("selector_sql92", rate(CONDITION)?, "messages/s", note(CONDITION)?).value_at_least(1e6),
        Figure::reported("selector_wasm", rate(WASM)?, "messages/s", note(WASM)?),
    ])
}

fn messages() -> Result<RecordBatch> {
    let names = MapFieldNames { entry: "entries".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut properties = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in 0..ROWS {
        let all = [
            ("trace", format!("{:016x}", row.wrapping_mul(0x9e37_79b9))),
            ("amount", (row * 7 % 250).to_string()),
            ("region", ["eu", "us", "asia"][row % 3].to_owned()),
            ("carrier", ["UA", "AA", "DL", "B6"][row % 4].to_owned()),
            ("dep_delay", (row * 13 % 180).to_string()),
        ];
        for (name, value) in all {
            properties.keys().append_value(name);
            properties.values().append_value(value);
        }
        properties.append(true)?;
    }
    let properties: ArrayRef = Arc::new(properties.finish());
    let schema = message_schema();
    let columns = schema.fields().iter().map(|field| {
        Ok(match (field.name().as_str(), field.data_type()) {
            ("tag", _) => {
                Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| if row % 50 == 0 { "urgent" } else { "t" })))
            }
            ("properties", wanted) => datafusion::arrow::compute::cast(&properties, wanted)?,
            ("body", DataType::Binary) => {
                Arc::new(BinaryArray::from_iter_values((0..ROWS).map(|_| [0_u8; 256]))) as ArrayRef
            }
            (_, other) => new_null_array(other, ROWS),
        })
    });
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.collect::<Result<_>>()?)?)
}
