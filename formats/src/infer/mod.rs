//! Which columns a file's rows have in common. All rows are looked at: a column has the narrowest type that takes every value
//! as it is written.

mod objects;
mod scalars;

use std::io::Read;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};

use crate::csv::{Record, Splitter, header};
use crate::json::{Json, Records};
use crate::{Error, Result};
use objects::Members;
use scalars::Texts;

/// What is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Columns that a file may have, nested ones counted: as many as a table.
const MAX_COLUMNS: usize = 16_384;

/// The columns of CSV with a header.
pub fn infer_csv(reader: impl Read, delimiter: u8) -> Result<Fields> {
    let mut splitter = Splitter::new(delimiter);
    let mut columns: Option<Vec<(String, Texts)>> = None;
    let mut each = |line: u64, record: &Record| match &mut columns {
        None => {
            let names = header(line, record)?;
            columns = Some(names.into_iter().map(|name| (name, Texts::default())).collect());
            Ok(())
        }
        Some(columns) => {
            if record.is_blank() && columns.len() > 1 {
                return Ok(());
            }
            if record.len() != columns.len() {
                let (cells, columns) = (record.len(), columns.len());
                return Err(Error::line(line, format!("the row has {cells} cells, not {columns}")));
            }
            for ((_, texts), cell) in columns.iter_mut().zip(record.cells()) {
                let (text, _) = cell.map_err(|error| Error::line(line, format!("the row is not UTF-8: {error}")))?;
                texts.see(text);
            }
            Ok(())
        }
    };
    pieces(reader, |piece| splitter.feed(piece, &mut each))?;
    splitter.end(&mut each)?;
    let columns = columns.unwrap_or_default();
    check_count(columns.len())?;
    Ok(columns.into_iter().map(|(name, texts)| Field::new(name, texts.data_type(), true)).collect())
}

/// The columns of JSON objects.
pub fn infer_json(reader: impl Read) -> Result<Fields> {
    let mut records = Records::default();
    let mut members = Members::default();
    let mut each = |line: u64, text: &str| {
        let row = Json::parse(text).map_err(|reason| Error::line(line, reason))?;
        let Json::Object(row) = row else { return Err(Error::line(line, "the row is no object")) };
        members.see(&row).map_err(|reason| Error::line(line, reason))?;
        check_count(members.count())
    };
    pieces(reader, |piece| records.feed(piece, &mut each))?;
    records.end()?;
    members.fields("column").map_err(Error::Invalid)
}

fn check_count(count: usize) -> Result<()> {
    if count <= MAX_COLUMNS {
        return Ok(());
    }
    Err(Error::Invalid(format!("there are more than {MAX_COLUMNS} columns, nested ones counted")))
}

fn pieces(mut reader: impl Read, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => each(piece.get(..read).unwrap_or_default())?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The type of a table's column that takes the values of a file's column exactly. The error says that there is none.
pub fn table_type(data_type: &DataType) -> Result<DataType, String> {
    use DataType::*;
    let renamed = |field: &Arc<Field>| Ok(field.as_ref().clone().with_data_type(table_type(field.data_type())?));
    let widened = match data_type {
        Null => Utf8,
        FixedSizeBinary(_) => Binary,
        Date64 => Date32,
        Float16 => Float32,
        Decimal32(precision, scale) | Decimal64(precision, scale) => Decimal128(*precision, *scale),
        Decimal256(precision, scale) if *precision <= 38 => Decimal128(*precision, *scale),
        Dictionary(_, values) => table_type(values)?,
        RunEndEncoded(_, values) => table_type(values.data_type())?,
        List(item) | LargeList(item) | ListView(item) | LargeListView(item) | FixedSizeList(item, _) => {
            List(Arc::new(renamed(item)?))
        }
        Struct(fields) => Struct(fields.iter().map(renamed).collect::<Result<Vec<_>, String>>()?.into()),
        Map(entries, sorted) => Map(Arc::new(renamed(entries)?), *sorted),
        other => other.clone(),
    };
    millstream_engine::stored_type(&widened)
}

#[cfg(test)]
mod tests {
    use crate::names::type_name;

    use super::*;

    fn csv(text: &str) -> Vec<String> {
        shown(infer_csv(text.as_bytes(), b','))
    }

    fn json(text: &str) -> Vec<String> {
        shown(infer_json(text.as_bytes()))
    }

    fn shown(fields: Result<Fields>) -> Vec<String> {
        match fields {
            Ok(fields) => {
                fields.iter().map(|field| format!("{} {}", field.name(), type_name(field.data_type()))).collect()
            }
            Err(error) => vec![error.to_string()],
        }
    }

    #[test]
    fn csv_columns_have_the_narrowest_type() {
        let text = "n,u,f,b,d,t,z,w,e,q\n1,18446744073709551615,1,true,2013-01-01,2013-01-01 10:00:00,2013-01-01T10:00:00Z,007,,\"1\"\n\
                    -2,0,1.5,FALSE,,2013-01-01T10:00:00.5,2013-01-01 10:00:00.123456789+01,8,,\"2\"\n";
        let expected = [
            "n BIGINT",
            "u BIGINT UNSIGNED",
            "f DOUBLE",
            "b BOOLEAN",
            "d DATE",
            "t TIMESTAMP",
            "z TIMESTAMP(9) WITH TIME ZONE",
            "w VARCHAR",
            "e VARCHAR",
            "q BIGINT",
        ];
        assert_eq!(csv(text), expected);
    }

    #[test]
    fn numbers_keep_their_digits() {
        assert_eq!(csv("n\n12345678901234567.89\n1\n"), ["n DECIMAL(38, 2)"]);
        assert_eq!(csv("n\n18446744073709551616\n-1\n"), ["n DECIMAL(38, 0)"]);
        assert_eq!(csv("n\n9223372036854775808\n-1\n"), ["n DECIMAL(38, 0)"]);
        assert_eq!(csv("n\n0.30000000000000004\n1e-7\nNaN\n"), ["n DOUBLE"]);
        assert_eq!(csv("n\n123456789012345678901234567890123456789\n"), ["n VARCHAR"]);
        assert_eq!(csv("n\n+491234\n"), ["n VARCHAR"]);
        assert_eq!(json("{\"n\":18446744073709551615}"), ["n BIGINT UNSIGNED"]);
        assert_eq!(json("{\"n\":1}{\"n\":1.5}{\"n\":\"NaN\"}"), ["n DOUBLE"]);
        assert_eq!(json("{\"n\":18446744073709551615}{\"n\":-1}"), ["n DECIMAL(38, 0)"]);
    }

    #[test]
    fn json_columns_are_those_of_all_rows() {
        let text = "{\"a\":1,\"o\":{},\"l\":[],\"s\":{\"x\":1}}\n{\"b\":null,\"a\":null,\"l\":[[1.5]],\"s\":{\"y\":\"z\"}}\n{\"t\":\"2013-01-01T10:00:00Z\"}";
        let expected = [
            "a BIGINT",
            "o MAP(VARCHAR, VARCHAR)",
            "l ARRAY<ARRAY<DOUBLE>>",
            "s STRUCT<x BIGINT, y VARCHAR>",
            "b VARCHAR",
            "t TIMESTAMP WITH TIME ZONE",
        ];
        assert_eq!(json(text), expected);
        assert_eq!(json("{\"a\":1}\n{\"a\":\"x\"}"), ["column \"a\" has numbers and texts; a column has one type"]);
        assert_eq!(
            json("{\"a\":[{\"b\":1}]}\n{\"a\":[{\"b\":[]}]}"),
            ["column \"a\", item, field \"b\" has numbers and arrays; a column has one type"]
        );
        assert!(json("{\"a\":1,\"a\":2}")[0].starts_with("line 1: "));
    }

    #[test]
    fn types_of_files_become_those_of_tables() {
        let large = |data_type| Field::new("s", data_type, true);
        let nested =
            DataType::Struct(vec![large(DataType::LargeUtf8), Field::new("v", DataType::Utf8View, true)].into());
        let expected = DataType::Struct(vec![large(DataType::Utf8), Field::new("v", DataType::Utf8, true)].into());
        assert_eq!(table_type(&nested), Ok(expected));
        assert_eq!(table_type(&DataType::FixedSizeBinary(16)), Ok(DataType::Binary));
        assert!(table_type(&DataType::Duration(arrow::datatypes::TimeUnit::Second)).is_err());
    }
}
