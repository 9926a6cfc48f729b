//! CSV, lines ended by a line feed.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;

use crate::text::{plain, text};

/// Appends the header line.
pub fn write_header(out: &mut Vec<u8>, schema: &Schema, delimiter: u8) {
    line(out, delimiter, schema.fields().iter().map(|field| Some(field.name().clone())));
}

/// Appends one line a row.
pub fn write_rows(out: &mut Vec<u8>, batch: &RecordBatch, delimiter: u8) {
    let columns = plain(batch);
    for row in 0..batch.num_rows() {
        line(out, delimiter, columns.iter().map(|column| (!column.is_null(row)).then(|| text(column.as_ref(), row))));
    }
}

fn line(out: &mut Vec<u8>, delimiter: u8, cells: impl Iterator<Item = Option<String>>) {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.push(delimiter);
        }
        match cell {
            Some(cell) if cell.is_empty() || cell.contains([char::from(delimiter), '"', '\n', '\r']) => {
                out.push(b'"');
                out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
                out.push(b'"');
            }
            Some(cell) => out.extend_from_slice(cell.as_bytes()),
            None => {}
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::every_type;

    #[test]
    fn every_type_has_its_form() {
        let mut out = Vec::new();
        let batch = every_type();
        write_header(&mut out, batch.schema_ref(), b',');
        write_rows(&mut out, &batch, b',');
        let expected = concat!(
            "flag,small,big,huge,single,double,price,name,bytes,day,at,at_utc,list,point,tags,word\n",
            "true,-7,9223372036854775807,18446744073709551615,0.1,2.0,12.50,\"Zoë \"\"1\"\"\n\",AP8=,2013-01-01,",
            "2013-01-01T10:15:00.001Z,2013-01-01T10:15:00Z,\"[1,null]\",\"{\"\"x\"\":1,\"\"y\"\":\"\"a\"\"}\",",
            "\"{\"\"k\"\":1}\",low\n",
            ",,,,NaN,-Infinity,,,,,,,,,,\n",
        );
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }

    #[test]
    fn null_and_the_empty_string_differ() {
        let mut out = Vec::new();
        line(&mut out, b',', [Some(String::new()), None, Some("a".to_owned())].into_iter());
        assert_eq!(out, b"\"\",,a\n");
    }
}
