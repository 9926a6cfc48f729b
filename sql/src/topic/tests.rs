//! The compiler without an engine: definitions in, operators out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::execution::SessionState;
use millstream_engine::{
    BatchOperator, ChunkStatistics, ColumnStatistics, ColumnValues, FailureKind, InputColumn, RowMap, TopicPlugins,
};

use super::stateless::Stateless;
use super::*;
use crate::parse::parse_definition;
use crate::query::{base_state, runtime};
use crate::{Result, SqlOptions};

fn state() -> SessionState {
    let options = SqlOptions::default();
    base_state(&options, runtime(&options).unwrap())
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("delay", DataType::Int32, true),
        Field::new("carrier", DataType::Utf8, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), false),
    ]))
}

fn try_define(sql: &str, state: &SessionState) -> Result<TopicDefinition> {
    define(&parse_definition(sql)?, &schema(), &TopicPlugins::default(), state)
}

fn compile(sql: &str) -> (Stateless, Operator) {
    let state = state();
    let stateless = try_define(sql, &state).unwrap_or_else(|error| panic!("{sql}: {error}")).plan.select;
    let identity = stateless.is_identity(&schema());
    let operator = Operator::compile(&stateless, identity, &state).unwrap();
    (stateless, operator)
}

/// The columns that an operator reads, of six rows.
fn input(operator: &Operator) -> RecordBatch {
    let columns: Vec<(String, ArrayRef)> = operator
        .inputs()
        .iter()
        .map(|input| match input {
            InputColumn::Field(0) => ("id".to_owned(), Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5, 6])) as ArrayRef),
            InputColumn::Field(1) => {
                let delays = vec![Some(5), Some(70), None, Some(90), Some(-3), Some(61)];
                ("delay".to_owned(), Arc::new(Int32Array::from(delays)) as ArrayRef)
            }
            InputColumn::Field(2) => {
                let carriers = vec![Some("UA"), Some("AA"), Some("UA"), None, Some("DL"), Some("AA")];
                ("carrier".to_owned(), Arc::new(StringArray::from(carriers)) as ArrayRef)
            }
            InputColumn::Offset => ("_offset".to_owned(), Arc::new(Int64Array::from_iter_values(100..106)) as ArrayRef),
            other => panic!("{other:?} is not expected"),
        })
        .collect();
    let fields: Vec<Field> =
        columns.iter().map(|(name, column)| Field::new(name, column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect())
        .unwrap()
}

#[test]
fn filters_first_and_maps_rows() {
    let (_, operator) = compile("SELECT id * 10 AS tens, carrier FROM t WHERE delay > 60");
    assert_eq!(operator.inputs(), [InputColumn::Field(0), InputColumn::Field(1), InputColumn::Field(2)]);
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!(evaluated.rows, RowMap::Indices(vec![1, 3, 5]));
    assert_eq!(evaluated.batch.column(0).as_primitive::<Int64Type>().values(), &[20, 40, 60]);
    assert!(evaluated.batch.column(1).is_null(1));
}

#[test]
fn reads_only_the_columns_that_are_named() {
    let (_, operator) = compile("SELECT carrier FROM t");
    assert_eq!(operator.inputs(), [InputColumn::Field(2)]);
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!(evaluated.rows, RowMap::Every);
    let (_, operator) = compile("SELECT _offset AS o FROM t WHERE _offset >= 104");
    assert_eq!(operator.inputs(), [InputColumn::Offset]);
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!(evaluated.batch.column(0).as_primitive::<Int64Type>().values(), &[104, 105]);
}

#[test]
fn constants_alone_still_have_rows() {
    let (_, operator) = compile("SELECT 7 AS seven FROM t");
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!(evaluated.batch.num_rows(), 6);
}

#[test]
fn no_row_and_every_row() {
    let (_, operator) = compile("SELECT id FROM t WHERE delay > 1000");
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!((evaluated.batch.num_rows(), evaluated.rows), (0, RowMap::Indices(Vec::new())));
    let (_, operator) = compile("SELECT id FROM t WHERE id > 0");
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!((evaluated.batch.num_rows(), evaluated.rows), (6, RowMap::Every));
}

#[test]
fn later_filters_see_only_rows_that_passed() {
    let state = state();
    let topic = try_define("SELECT id, delay FROM t WHERE delay <> 5", &state).unwrap().plan.select;
    let outer = datafusion::logical_expr::col("delay") - datafusion::logical_expr::lit(5);
    let outer = (datafusion::logical_expr::lit(100) / outer).gt(datafusion::logical_expr::lit(0));
    let narrowed = topic.narrow(&[outer], Some(&[0])).unwrap();
    let operator = Operator::compile(&narrowed, false, &state).unwrap();
    let evaluated = operator.evaluate(&input(&operator)).unwrap();
    assert_eq!(evaluated.rows, RowMap::Indices(vec![1, 3, 5]));
}

#[test]
fn identity_is_recognised_and_nothing_else() {
    assert!(compile("SELECT * FROM t").1.is_identity());
    assert!(compile("SELECT id, delay, carrier, ts FROM t").1.is_identity());
    for other in [
        "SELECT delay, id, carrier, ts FROM t",
        "SELECT id, delay, carrier FROM t",
        "SELECT * FROM t WHERE id > 0",
        "SELECT id AS number, delay, carrier, ts FROM t",
        "SELECT id + 0 AS id, delay, carrier, ts FROM t WHERE true AND id > 1",
        "SELECT *, _offset AS o FROM t",
    ] {
        assert!(!compile(other).1.is_identity(), "{other}");
    }
}

#[test]
fn an_error_of_a_row_is_of_kind_data() {
    let (_, operator) = compile("SELECT 10 / (delay - 5) AS q FROM t");
    let error = operator.evaluate(&input(&operator)).unwrap_err();
    assert_eq!(error.kind, FailureKind::Data, "{error}");
}

/// Has these and no others.
#[derive(Debug)]
struct Texts(&'static [&'static str]);

impl ColumnValues for Texts {
    fn may_have(&self, value: &[u8]) -> bool {
        self.0.iter().any(|text| text.as_bytes() == value)
    }
}

#[test]
fn chunks_are_skipped_by_values_that_they_lack() {
    let prunes = |sql: &str, texts: &'static [&'static str]| {
        let (_, operator) = compile(sql);
        let column = |input: &InputColumn| {
            let values: Arc<dyn ColumnValues> = Arc::new(Texts(texts));
            (*input == InputColumn::Field(2)).then(|| ColumnStatistics { values: Some(values), ..Default::default() })
        };
        let columns = operator.inputs().iter().map(column).collect();
        operator.prune(&[ChunkStatistics { row_count: 10, columns }]) == [true]
    };
    assert!(prunes("SELECT id FROM t WHERE carrier = 'x'", &["a", "b"]));
    assert!(!prunes("SELECT id FROM t WHERE carrier = 'x'", &["a", "x"]));
    assert!(prunes("SELECT id FROM t WHERE carrier IN ('x', 'y') AND id > 5", &["a"]));
    assert!(!prunes("SELECT id FROM t WHERE carrier IN ('x', 'a')", &["a"]));
    assert!(!prunes("SELECT id FROM t WHERE carrier <> 'x'", &["a"]));
    assert!(!prunes("SELECT id FROM t WHERE carrier = 'x' OR id > 5", &["a"]));
    assert!(!prunes("SELECT id FROM t WHERE upper(carrier) = 'x'", &["a"]));
}

fn chunk(bounds: &[Option<(i64, i64)>], nulls: u64) -> ChunkStatistics {
    let column = |bounds: &Option<(i64, i64)>| {
        bounds.map(|(min, max)| ColumnStatistics {
            min: Some(Arc::new(Int64Array::from(vec![min])) as ArrayRef),
            max: Some(Arc::new(Int64Array::from(vec![max])) as ArrayRef),
            null_count: Some(nulls),
            values: None,
        })
    };
    ChunkStatistics { row_count: 10, columns: bounds.iter().map(column).collect() }
}

#[test]
fn chunks_are_skipped_by_their_bounds() {
    let (_, operator) = compile("SELECT id FROM t WHERE id BETWEEN 50 AND 60");
    let chunks =
        [chunk(&[Some((0, 49))], 0), chunk(&[Some((40, 50))], 0), chunk(&[None], 0), chunk(&[Some((61, 99))], 0)];
    assert_eq!(operator.prune(&chunks), [true, false, false, true]);
    let all_null = ChunkStatistics {
        row_count: 10,
        columns: vec![Some(ColumnStatistics {
            min: Some(new_null_array(&DataType::Int32, 1)),
            max: None,
            null_count: Some(10),
            values: None,
        })],
    };
    let (_, operator) = compile("SELECT delay FROM t WHERE delay > 60");
    assert_eq!(operator.prune(&[all_null]), [true]);
    let (_, operator) = compile("SELECT id FROM t");
    assert_eq!(operator.prune(&[chunk(&[Some((0, 1))], 0)]), [false]);
    let (_, operator) = compile("SELECT id FROM t WHERE abs(id) > 5 OR carrier = 'x'");
    assert_eq!(operator.prune(&[chunk(&[Some((0, 1)), None], 0)]), [false]);
}

#[test]
fn bounds_of_another_type_skip_nothing() {
    let (_, operator) = compile("SELECT delay FROM t WHERE delay > 60");
    assert_eq!(operator.prune(&[chunk(&[Some((0, 1))], 0)]), [false]);
}

#[test]
fn refusals_name_clause_and_place() {
    let state = state();
    let check = |sql: &str, clause: &str, line: u64, column: u64| {
        let error = try_define(sql, &state).unwrap_err();
        assert!(error.to_string().contains(clause), "{sql}: {error}");
        let place = error.position().map(|position| (position.line, position.column));
        assert_eq!(place, Some((line, column)), "{sql}: {error}");
    };
    check("SELECT id FROM t\nORDER BY id", "ORDER BY", 2, 1);
    check("SELECT DISTINCT id FROM t", "DISTINCT", 1, 8);
    check("SELECT id\nFROM t\n  GROUP BY id", "GROUP BY", 3, 3);
    check("SELECT id,\n  max(delay) AS m FROM t", "the aggregate function max", 2, 3);
    check("SELECT id FROM t WHERE random() < 0.5", "random", 1, 24);
    check("SELECT id FROM t JOIN u ON true", "JOIN", 1, 18);
    check("SELECT nothing FROM t", "nothing", 1, 8);
}

#[test]
fn the_stored_text_compiles_to_the_same() {
    let state = state();
    for sql in [
        "select ID, Carrier as \"The Carrier\" from t where not (delay > 60 or carrier like 'U%')",
        "SELECT *, _partition AS p FROM t WHERE ts >= TIMESTAMP '2013-01-01' AND carrier IN ('a', 'it''s')",
        "SELECT CASE WHEN delay IS NULL THEN 0 ELSE CAST(delay AS DOUBLE) / 2 END AS half FROM public.t",
    ] {
        let first = try_define(sql, &state).unwrap();
        let second = try_define(&first.text, &state).unwrap();
        assert_eq!(first.text, second.text);
        assert_eq!(format!("{:?}", first.plan), format!("{:?}", second.plan), "{sql}");
    }
}
