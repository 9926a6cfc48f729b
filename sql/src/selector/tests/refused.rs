//! What is refused, and what is bounded.

use std::sync::Arc;

use millstream_engine::TopicPlugins;

use super::{Filters, NAMES, YES, answer, compiled};

#[test]
fn what_is_no_selector_is_refused_with_its_place() {
    for (expression, message) in [
        ("", "line 1, column 1: a property or a value is expected, and the end found"),
        ("a and between 2 and 10", "column 7: a property or a value is expected, and between found"),
        ("a > 100000000000000000000000", "100000000000000000000000 is above 9223372036854775807 (at line 1, column 5)"),
        ("a between 10 and 0", "BETWEEN takes the smaller value first"),
        ("a between 'a' and 'b'", "compare numbers"),
        ("a between NULL and 1", "compare numbers"),
        ("a > 'x'", "compare numbers"),
        ("a > TRUE", "compare numbers"),
        ("a > 1 > 2", "compare numbers"),
        ("a = NULL", "IS NULL asks for it"),
        ("NULL <> a", "IS NULL asks for it"),
        ("TRUE = 3", "can't be compared"),
        ("3", "a condition is wanted here"),
        ("'x'", "a condition is wanted here"),
        ("a = 1 AND 3", "a condition is wanted here, and this is a value (at line 1, column 11)"),
        ("-a", "a condition is wanted here"),
        ("-(a = 1)", "not before a condition"),
        ("NOT 3", "a condition is wanted here"),
        ("3 IN ('3')", "IN takes a property"),
        ("a IN (3)", "a text in quotes is expected, and 3 found"),
        ("a IN ()", "a text in quotes is expected"),
        ("a IN ('1'", ") is expected, and the end found"),
        ("a CONTAINS b", "a text in quotes is expected, and b found"),
        ("a IS 3", "NULL is expected, and 3 found"),
        ("a LIKE 'x'", "AND, OR or the end is expected, and LIKE found"),
        ("a = 3 b", "AND, OR or the end is expected"),
        ("a = 3)", "AND, OR or the end is expected, and ) found"),
        ("a = 007", "AND, OR or the end is expected, and 0 found"),
        ("(a = 3", ") is expected, and the end found"),
        ("a == 3", "is expected, and = found"),
        ("a != 3", "'!' has no meaning here"),
        ("a = \"x\"", "texts stand in single quotes"),
        ("a.b = 1", "'.' has no meaning here"),
        ("a + 1 > 2", "AND, OR or the end is expected, and + found"),
        ("a = 'x", "column 5: a text is not ended by a quote"),
        ("a = /* x", "a comment /* is not ended"),
        ("a =\n= 3", "line 2, column 1"),
        ("a > 1e999", "no number that a DOUBLE holds"),
        ("a > 1e-999", "no number that a DOUBLE holds"),
        ("fraud(a)", "there is no plugin or function fraud (at line 1, column 1)"),
    ] {
        let error = compiled(expression).expect_err(expression).to_string();
        assert!(error.contains(message), "{expression}: {error}");
    }
    assert!(compiled("a > 0.0 AND a > 0e5 AND b > 0").is_ok());
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = |levels: usize| format!("{}a = 1{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(answer(&deep(90), &[("a", "1")]), YES);
    for expression in [
        deep(101),
        deep(10_000),
        format!("{}a", "NOT ".repeat(5_000)),
        format!("a > {}1", "- ".repeat(5_000)),
        format!("a{}", " = b".repeat(5_000)),
        format!("a{}", " IS NULL".repeat(1_000)),
        format!("a{}", " CONTAINS 'x'".repeat(1_000)),
    ] {
        let error = compiled(&expression).unwrap_err().to_string();
        assert!(error.contains("100 deep"), "{error}");
    }
    let error = compiled(&format!("a = '{}'", "x".repeat(40_000))).unwrap_err().to_string();
    assert!(error.contains("40006 bytes"), "{error}");
    // Many conditions beside each other are not deep.
    assert_eq!(answer(&format!("a = 2{}", " OR a = 1".repeat(3_000)), &[("a", "1")]), YES);
}

#[test]
fn filters_are_shared_and_bounded_in_sum() {
    let filters = Filters::default();
    let get = |expression: &str| filters.get("n", expression, NAMES, &TopicPlugins::default());
    assert!(Arc::ptr_eq(&get("a = 1").unwrap(), &get("a = 1").unwrap()));
    let long = |number: usize| format!("a = '{number}{}'", "x".repeat(30_000));
    let held: Vec<_> = (0..10).map(|number| get(&long(number)).unwrap()).collect();
    let refused = get(&long(99)).and(get(&long(98))).unwrap_err().to_string();
    assert!(refused.contains("filters of messages take more than"), "{refused}");
    drop(held);
    get(&long(99)).unwrap();
}
