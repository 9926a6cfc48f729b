//! Tables for people. Widths are set by the first rows, so that a long result is shown as it comes.

use std::fmt::Write as _;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use millstream_formats::{plain, text};
use unicode_width::UnicodeWidthStr;

const NULL: &str = "";
/// A cell longer than this is cut, with a sign that it was.
const MAX_CELL: usize = 200;

/// Lays rows out in columns.
#[derive(Debug)]
pub(crate) struct TableWriter {
    names: Vec<String>,
    right: Vec<bool>,
    widths: Option<Vec<usize>>,
    rows: u64,
}

impl TableWriter {
    pub(crate) fn new(schema: &SchemaRef) -> TableWriter {
        TableWriter {
            names: schema.fields().iter().map(|field| cell(field.name())).collect(),
            right: schema.fields().iter().map(|field| is_number(field.data_type())).collect(),
            widths: None,
            rows: 0,
        }
    }

    /// Appends rows; the first call also writes the header.
    pub(crate) fn write(&mut self, out: &mut String, batch: &RecordBatch) {
        let columns = plain(batch);
        let rows: Vec<Vec<String>> = (0..batch.num_rows())
            .map(|row| {
                let show =
                    |column: &dyn Array| if column.is_null(row) { NULL.to_owned() } else { cell(&text(column, row)) };
                columns.iter().map(|column| show(column.as_ref())).collect()
            })
            .collect();
        self.rows += rows.len() as u64;
        let widths = self.widths(out, &rows);
        for row in &rows {
            line(out, row, &widths, &self.right);
        }
    }

    /// Ends the table with the number of rows.
    pub(crate) fn finish(mut self, out: &mut String) {
        self.widths(out, &[]);
        let _ = writeln!(out, "({} {})", self.rows, if self.rows == 1 { "row" } else { "rows" });
    }

    fn widths(&mut self, out: &mut String, rows: &[Vec<String>]) -> Vec<usize> {
        if let Some(widths) = &self.widths {
            return widths.clone();
        }
        let widths: Vec<usize> = self
            .names
            .iter()
            .enumerate()
            .map(|(index, name)| {
                let cells = rows.iter().filter_map(|row| row.get(index)).map(|cell| cell.width());
                cells.max().unwrap_or(0).max(name.width())
            })
            .collect();
        line(out, &self.names, &widths, &self.right);
        let rules: Vec<String> = widths.iter().map(|width| "-".repeat(width + 2)).collect();
        let _ = writeln!(out, "{}", rules.join("+"));
        self.widths = Some(widths.clone());
        widths
    }
}

fn line(out: &mut String, cells: &[String], widths: &[usize], right: &[bool]) {
    let mut text = String::new();
    for (index, ((cell, width), right)) in cells.iter().zip(widths).zip(right).enumerate() {
        let gap = " ".repeat(width.saturating_sub(cell.width()));
        let (before, after) = if *right { (gap.as_str(), "") } else { ("", gap.as_str()) };
        let bar = if index > 0 { "|" } else { "" };
        let _ = write!(text, "{bar} {before}{cell}{after} ");
    }
    out.push_str(text.trim_end());
    out.push('\n');
}

/// What a terminal may be sent: control characters are shown, not obeyed.
fn cell(text: &str) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == MAX_CELL {
            shown.push('…');
            break;
        }
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    shown
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn columns_line_up() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("carrier", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
        ]));
        let carriers = StringArray::from(vec![Some("UA"), None, Some("a\u{1b}[31m\nb")]);
        let numbers = Int64Array::from(vec![Some(1545), Some(-3), None]);
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(carriers), Arc::new(numbers)]).unwrap();
        let mut table = TableWriter::new(&schema);
        let mut out = String::new();
        table.write(&mut out, &batch);
        table.finish(&mut out);
        let expected = [
            " carrier        |    n",
            "----------------+------",
            " UA             | 1545",
            "                |   -3",
            " a\\u{1b}[31m\\nb |",
            "(3 rows)",
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_empty_result_has_a_header() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let mut out = String::new();
        TableWriter::new(&schema).finish(&mut out);
        assert_eq!(out, " a\n---\n(0 rows)\n");
    }
}
