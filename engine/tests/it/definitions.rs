use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, TimeUnit};
use millstream_engine::{
    ColumnSpec, ErrorKind, OnError, TableId, TableInfo, TableOptions, TableSpec, TopicSource, TopicSpec,
};

use crate::support::{Store, me, message, rows, schema, spec, timestamps};

fn topic(name: &str, table: &TableInfo) -> TopicSpec {
    TopicSpec {
        namespace: table.namespace.clone(),
        name: name.to_owned(),
        table: table.id,
        table_schema_version: table.schema_version(),
        definition: format!("SELECT * FROM {}", table.name),
        output_schema: schema(),
        plugins: Vec::new(),
        functions: Vec::new(),
        on_error: OnError::Stop,
    }
}

#[test]
fn tables_have_a_topic_of_their_name() {
    let store = Store::new();
    let table = store.table("flights", TableOptions::default());
    let identity = store.engine.topic(&me(), "public", "flights").unwrap();
    assert_eq!((identity.id.0, identity.table), (table.id.0, table.id));
    assert_eq!(identity.source, TopicSource::Identity);
    assert!(store.engine.topics(&me()).unwrap().is_empty());
    assert_eq!(message(store.engine.create_topic(&me(), topic("flights", &table))), "table \"flights\" already exists");
    let wrong = "topic \"flights\" is its table's own: it comes, changes and goes with the table";
    assert_eq!(message(store.engine.drop_topic(&me(), "public", "flights", true)), wrong);
}

#[test]
fn names_are_unique_over_tables_and_topics() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let made = store.engine.create_topic(&me(), topic("late", &table)).unwrap();
    assert_eq!((made.version, made.table), (1, table.id));
    let check = |error: String, expected: &str| assert_eq!(error, expected);
    check(message(store.engine.create_topic(&me(), topic("late", &table))), "topic \"late\" already exists");
    check(
        message(store.engine.create_table(&me(), spec("late", TableOptions::default()))),
        "topic \"late\" already exists",
    );
    store.engine.create_namespace(&me(), "other", &Default::default()).unwrap();
    let elsewhere = TableSpec { namespace: "other".to_owned(), ..spec("t", TableOptions::default()) };
    store.engine.create_table(&me(), elsewhere).unwrap();
    let missing = TopicSpec { table: TableId(u64::MAX), ..topic("lost", &table) };
    assert_eq!(store.engine.create_topic(&me(), missing).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_table_is_replaced_in_one_step_or_stays() {
    let store = Store::new();
    let old = store.table("t", TableOptions::default());
    store.append(old.id, rows([1, 2])).unwrap();
    let odd = Schema::new(vec![Field::new("d", DataType::Duration(TimeUnit::Second), true)]);
    let odd = TableSpec { schema: Arc::new(odd), ..spec("t", TableOptions::default()) };
    assert!(message(store.engine.replace_table(&me(), odd)).starts_with("column \"d\": "));
    let made = store.engine.create_topic(&me(), topic("late", &old)).unwrap();
    let refused = message(store.engine.replace_table(&me(), spec("t", TableOptions::default())));
    assert_eq!(refused, "table \"t\" is in use by topic \"late\"");
    assert_eq!(store.offsets(old.id), [(0, 2)]);
    store.engine.drop_topic(&me(), "public", &made.name, false).unwrap();
    let options = TableOptions { partitions: 3, ..TableOptions::default() };
    let new = store.engine.replace_table(&me(), spec("t", options)).unwrap();
    assert_eq!((new.name.as_str(), new.options.partitions), ("t", 3));
    store.append(new.id, rows([3])).unwrap();
    let store = store.reopen();
    assert_eq!(store.engine.table(&me(), "public", "t").unwrap().id, new.id);
    assert_eq!(store.engine.table_by_id(&me(), old.id).unwrap_err().kind(), ErrorKind::NotFound);
    let missing = store.engine.replace_table(&me(), spec("u", TableOptions::default())).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

#[test]
fn names_are_checked() {
    let store = Store::new();
    let check = |name: &str, expected: &str| {
        assert_eq!(message(store.engine.create_table(&me(), spec(name, TableOptions::default()))), expected);
    };
    check("", "table name \"\" is empty");
    check("a/b", "table name \"a/b\" has the character '/', which names can't have");
    check("a\0b", "table name \"a\\0b\" has the character '\\0', which names can't have");
    check(&"x".repeat(256), "table name is 256 bytes long, at most 255 are taken");
    store.table(&"x".repeat(255), TableOptions::default());
    store.table("%RETRY%group ünïcode 表", TableOptions::default());
    let system = TableSpec { namespace: "system".to_owned(), ..spec("t", TableOptions::default()) };
    let expected = "namespace \"system\" is the engine's own: nothing can be created in it";
    assert_eq!(message(store.engine.create_table(&me(), system)), expected);
}

#[test]
fn schemas_are_checked() {
    let store = Store::new();
    let create = |fields: Vec<Field>| {
        let schema = Arc::new(Schema::new(fields));
        store.engine.create_table(&me(), TableSpec { schema, ..spec("t", TableOptions::default()) })
    };
    let check = |fields, expected: &str| assert_eq!(message(create(fields)), expected);
    check(vec![], "a table needs at least one column");
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    check(vec![int("a"), int("a")], "column \"a\" is there twice");
    check(vec![int("_offset")], "column name \"_offset\" is reserved: every table has that pseudo-column");
    check(vec![int("")], "column name \"\" is empty");
    check(
        vec![Field::new("d", DataType::Duration(TimeUnit::Second), true)],
        "column \"d\": Duration(s) is not a type that tables hold (docs/types.md lists them)",
    );
    let many = (0..1_000_000).map(|column| int(&format!("c{column}"))).collect();
    check(many, "a table has at most 4096 columns, this one would have 1000000");
    let mut deep = DataType::Int32;
    for _ in 0..200 {
        deep = DataType::List(Arc::new(Field::new("item", deep, true)));
    }
    assert!(message(create(vec![Field::new("deep", deep, true)])).contains("types may be nested 32 deep"));

    let stored = create(vec![
        Field::new("view", DataType::Utf8View, false),
        Field::new_dictionary("dictionary", DataType::Int8, DataType::LargeUtf8, true),
    ]);
    let types: Vec<_> = stored.unwrap().schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Utf8]);
}

#[test]
fn options_are_checked() {
    let store = Store::new();
    let fields = vec![
        Field::new("ts", timestamps(), false),
        Field::new("maybe", timestamps(), true),
        Field::new("x", DataType::Float64, true),
    ];
    let schema = Arc::new(Schema::new(fields));
    let check = |options: TableOptions, expected: &str| {
        let spec = TableSpec { schema: schema.clone(), ..spec("t", options) };
        assert_eq!(message(store.engine.create_table(&me(), spec)), expected);
    };
    let default = TableOptions::default;
    check(TableOptions { partitions: 0, ..default() }, "a table has 1 to 65536 partitions, not 0");
    check(TableOptions { partitions: 65_537, ..default() }, "a table has 1 to 65536 partitions, not 65537");
    let time = |name: &str| TableOptions { time_column: Some(name.to_owned()), ..default() };
    check(time("no"), "time_column \"no\" is not a column of the table");
    check(time("x"), "time_column \"x\" must be a NOT NULL timestamp, it is a nullable Float64");
    check(time("maybe"), "time_column \"maybe\" must be a NOT NULL timestamp, it is a nullable Timestamp(µs, \"UTC\")");
    let key = |names: &[&str]| TableOptions {
        partition_key: names.iter().map(|name| (*name).to_owned()).collect(),
        ..default()
    };
    check(key(&["no"]), "partition_key \"no\" is not a column of the table");
    check(key(&["ts", "ts"]), "partition_key names column \"ts\" twice");
    check(
        key(&["x"]),
        "partition_key column \"x\" is Float64; a key takes booleans, integers, decimals, dates, timestamps, text and binary",
    );
    check(
        TableOptions { retention_ms: Some(0), ..default() },
        "retention of 0 ms is outside 1 to 4611686018427387; leave it out to keep rows for ever",
    );
    check(TableOptions { retention_bytes: Some(0), ..default() }, "retention_bytes must be at least 1");
}

#[test]
fn columns_and_partitions_only_grow() {
    let store = Store::new();
    let table = store.table("t", TableOptions { partitions: 2, ..TableOptions::default() });
    let add = |name: &str| {
        let column = ColumnSpec { name: name.to_owned(), data_type: DataType::Int8 };
        store.engine.add_columns(&me(), "public", "t", vec![column])
    };
    assert_eq!(message(add("name")), "column \"name\" is there twice");
    assert!(add("more").unwrap().schema().field_with_name("more").unwrap().is_nullable());
    let grow = |partitions| store.engine.set_partitions(&me(), "public", "t", partitions);
    assert_eq!(message(grow(1)), "table \"t\" has 2 partitions; the number can only grow");
    assert_eq!(grow(2).unwrap().options.partitions, 2);
    assert_eq!(grow(5).unwrap().options.partitions, 5);
    let store = store.reopen();
    assert_eq!(store.offsets(table.id), [(0, 0); 5]);
}

#[test]
fn what_is_used_is_not_dropped() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    store.engine.create_topic(&me(), topic("a", &table)).unwrap();
    store.engine.create_topic(&me(), topic("b", &table)).unwrap();
    let drop_table = |force| store.engine.drop_table(&me(), "public", "t", force);
    assert_eq!(message(drop_table(false)), "table \"t\" is in use by topic \"a\"");
    drop_table(true).unwrap();
    assert!(store.engine.topics(&me()).unwrap().is_empty());
    assert_eq!(message(store.engine.topic(&me(), "public", "t")), "topic \"t\" does not exist");
    assert_eq!(message(drop_table(true)), "table \"t\" does not exist");
    let again = store.table("t", TableOptions::default());
    assert!(again.id > table.id);

    store.engine.create_namespace(&me(), "n", &Default::default()).unwrap();
    let inside = TableSpec { namespace: "n".to_owned(), ..spec("t", TableOptions::default()) };
    store.engine.create_table(&me(), inside).unwrap();
    let drop_namespace = |name| store.engine.drop_namespace(&me(), name);
    assert_eq!(message(drop_namespace("n")), "namespace \"n\" is in use by \"t\"");
    store.engine.drop_table(&me(), "n", "t", false).unwrap();
    drop_namespace("n").unwrap();
    assert_eq!(message(drop_namespace("public")), "namespace \"public\" can't be dropped");
    assert_eq!(message(drop_namespace("n")), "namespace \"n\" does not exist");
}

#[test]
fn reloading_keeps_the_topic_and_raises_its_version() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    let made = store.engine.create_topic(&me(), topic("late", &table)).unwrap();
    let narrower = Arc::new(schema().project(&[0]).unwrap());
    let spec = TopicSpec { output_schema: narrower.clone(), ..topic("late", &table) };
    let replaced = store.engine.replace_topic(&me(), spec).unwrap();
    assert_eq!((replaced.id, replaced.version, replaced.created), (made.id, 2, made.created));
    assert_eq!(replaced.output_schema, narrower);
    let store = store.reopen();
    assert_eq!(store.engine.topic(&me(), "public", "late").unwrap(), replaced);
}

#[test]
fn definitions_race_without_harm() {
    let store = Store::new();
    let table = store.table("t", TableOptions::default());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, table) = (&store, &table);
            scope.spawn(move || {
                for index in 0..10 {
                    let _ = store.engine.create_topic(&me(), topic(&format!("topic {index}"), table));
                    let _ =
                        store.engine.replace_topic(&me(), topic(&format!("topic {}", (index + thread) % 10), table));
                }
            });
        }
    });
    let topics = store.engine.topics(&me()).unwrap();
    assert_eq!(topics.len(), 10);
    let store = store.reopen();
    assert_eq!(store.engine.topics(&me()).unwrap(), topics);
}
