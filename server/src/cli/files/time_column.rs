//! Chooses the event-time column of a table made from a file.

use arrow::array::Array;
use arrow::datatypes::DataType;

use super::Source;
use crate::cli::exit::Failure;

/// The first timestamp column that has a value in every row; `None` if there is none, or no row.
pub(crate) fn time_column(source: &Source) -> Result<Option<String>, Failure> {
    let schema = source.schema();
    let candidates: Vec<usize> = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| matches!(field.data_type(), DataType::Timestamp(..)))
        .map(|(index, _)| index)
        .collect();
    if candidates.is_empty() {
        return Ok(None);
    }
    let mut nulls = vec![0; candidates.len()];
    let mut rows = 0;
    for batch in source.batches(Some(candidates.clone()))? {
        let batch = batch.map_err(|error| Failure::failed(format!("{}: {error}", source.path().display())))?;
        rows += batch.num_rows();
        for (count, column) in nulls.iter_mut().zip(batch.columns()) {
            *count += column.null_count();
        }
    }
    let first = candidates.iter().zip(&nulls).find(|(_, nulls)| **nulls == 0 && rows > 0);
    Ok(first.map(|(index, _)| schema.field(*index).name().clone()))
}

#[cfg(test)]
mod tests {
    use super::super::Wanted;
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let source = Source::open(&path, Wanted::Inferred, b',').unwrap();
        assert_eq!(time_column(&source).unwrap().as_deref(), expected, "{text}");
    }

    #[test]
    fn the_first_whole_timestamp_column_is_taken() {
        check("a,t,u\n1,2013-01-01T10:00:00,2013-01-01T11:00:00\n", Some("t"));
        check("a,t,u\n1,,2013-01-01T11:00:00\n2,2013-01-01T10:00:00,2013-01-01T11:00:00\n", Some("u"));
        check("a,t\n1,\n2,2013-01-01T10:00:00\n", None);
        check("a\n1\n", None);
    }
}
