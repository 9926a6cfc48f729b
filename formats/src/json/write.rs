//! JSON lines.

use arrow::array::RecordBatch;

use crate::text::{object, plain};

/// Appends one object a row.
pub fn write_rows(out: &mut Vec<u8>, batch: &RecordBatch) {
    let columns = plain(batch);
    let schema = batch.schema_ref();
    for row in 0..batch.num_rows() {
        let names = schema.fields().iter().map(|field| field.name().as_str());
        object(out, names.zip(columns.iter().map(|column| (column, row))));
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::every_type;

    #[test]
    fn every_type_has_its_form() {
        let mut out = Vec::new();
        write_rows(&mut out, &every_type());
        let lines: Vec<_> = std::str::from_utf8(&out).unwrap().lines().collect();
        assert_eq!(
            lines,
            [
                concat!(
                    r#"{"flag":true,"small":-7,"big":9223372036854775807,"huge":18446744073709551615,"single":0.1,"#,
                    r#""double":2.0,"price":"12.50","name":"Zoë \"1\"\n","bytes":"AP8=","day":"2013-01-01","#,
                    r#""at":"2013-01-01T10:15:00.001Z","at_utc":"2013-01-01T10:15:00Z","list":[1,null],"#,
                    r#""point":{"x":1,"y":"a"},"tags":{"k":1},"word":"low"}"#
                ),
                concat!(
                    r#"{"flag":null,"small":null,"big":null,"huge":null,"single":"NaN","double":"-Infinity","price":null,"#,
                    r#""name":null,"bytes":null,"day":null,"at":null,"at_utc":null,"list":null,"point":null,"tags":null,"#,
                    r#""word":null}"#
                ),
            ]
        );
        for line in lines {
            serde_json::from_str::<serde_json::Value>(line).unwrap();
        }
    }
}
