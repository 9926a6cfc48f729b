//! What selectors mean: Apache's behaviour, a line a case.

use super::{FAILS, NO, YES, answer, batch, compiled, selected};

#[test]
fn selectors_mean_what_they_mean_to_apache() {
    type Row = &'static [(&'static str, &'static str)];
    type Case = (&'static str, &'static [(Row, Option<bool>)]);
    let table: &[Case] = &[
        // Texts are read as the number that they meet.
        (
            "a = 3",
            &[(&[("a", "3")], YES), (&[("a", "+03")], YES), (&[("a", "4")], NO), (&[], NO), (&[("a", "x")], FAILS)],
        ),
        ("a = 3", &[(&[("a", "3.0")], FAILS), (&[("a", " 3")], FAILS), (&[("a", "")], FAILS)]),
        ("a = 3.0", &[(&[("a", "3")], YES), (&[("a", " 3.0f ")], YES), (&[("a", "NaN")], NO), (&[("a", "x")], FAILS)]),
        ("3 = a", &[(&[("a", "3")], YES), (&[], NO), (&[("a", "x")], FAILS)]),
        ("a <> 3", &[(&[("a", "4")], YES), (&[("a", "3")], NO), (&[], NO)]),
        (
            "a > 5",
            &[(&[("a", "6")], YES), (&[("a", "5")], NO), (&[("a", "-6")], NO), (&[], NO), (&[("a", "5.5")], FAILS)],
        ),
        // A number that fits 32 bits makes the text be read with 32 bits.
        ("a > 5", &[(&[("a", "3000000000")], FAILS)]),
        ("a > 2147483648", &[(&[("a", "3000000000")], YES), (&[("a", "7")], NO)]),
        ("a > 3.1E10", &[(&[("a", "3.1415E10")], YES)]),
        ("a > 3.14", &[(&[("a", "3.1415")], YES), (&[("a", "3.14")], NO)]),
        ("a >= 5. AND a < .6e1 AND a < 6E0", &[(&[("a", "5")], YES), (&[("a", "6")], NO)]),
        ("a > -5", &[(&[("a", "-4")], YES), (&[("a", "-6")], NO)]),
        ("a > - -5 AND a < +7L", &[(&[("a", "6")], YES)]),
        (
            "a = 3 and b<>4 And c>5 AND d<=4",
            &[
                (&[("a", "3"), ("b", "5"), ("c", "6"), ("d", "1")], YES),
                (&[("a", "4"), ("b", "5"), ("c", "6"), ("d", "1")], NO),
            ],
        ),
        (
            "a=3 or b<>4 Or c>5 OR d<=4",
            &[
                (&[("a", "3")], YES),
                (&[("a", "4"), ("b", "5")], YES),
                (&[("a", "4"), ("b", "4"), ("c", "3"), ("d", "2")], YES),
                (&[("a", "4"), ("b", "4"), ("c", "3"), ("d", "10")], NO),
                (&[("a", "4"), ("d", "1")], YES),
            ],
        ),
        // What fails is mended by nothing at its right; what decides before it does.
        ("a > 1 OR b = 'x'", &[(&[("a", "y"), ("b", "x")], FAILS), (&[("a", "2")], YES)]),
        ("b = 'x' OR a > 1", &[(&[("a", "y"), ("b", "x")], YES)]),
        (
            "b = 'x' AND a > 1",
            &[(&[("a", "y"), ("b", "z")], NO), (&[("a", "y"), ("b", "x")], FAILS), (&[("a", "y")], FAILS)],
        ),
        ("NOT (a > 1)", &[(&[("a", "y")], FAILS), (&[("a", "1")], YES), (&[("a", "2")], NO), (&[], NO)]),
        // Two properties are texts, and numbers where it matters which is greater.
        (
            "a = b",
            &[
                (&[("a", "3.14"), ("b", "3.14")], YES),
                (&[("a", "3"), ("b", "3.0")], NO),
                (&[], YES),
                (&[("a", "1")], NO),
            ],
        ),
        ("a <> b", &[(&[("a", "3.14"), ("b", "3.141")], YES), (&[("a", "1")], YES), (&[("b", "1")], NO), (&[], NO)]),
        (
            "a > b",
            &[
                (&[("a", "20"), ("b", "10")], YES),
                (&[("a", "9"), ("b", "10")], NO),
                (&[("a", "x"), ("b", "1")], FAILS),
                (&[("a", "x")], NO),
            ],
        ),
        (
            "a > b",
            &[
                (&[("a", "Infinity"), ("b", "1e308")], YES),
                (&[("a", "NaN"), ("b", "Infinity")], YES),
                (&[("a", "0"), ("b", "-0.0")], YES),
            ],
        ),
        (
            "a between up and low",
            &[
                (&[("a", "3.14")], NO),
                (&[("a", "3.14"), ("up", "up"), ("low", "low")], FAILS),
                (&[("a", "3"), ("up", "1"), ("low", "5")], YES),
            ],
        ),
        (
            "a between 2 and 10",
            &[
                (&[("a", "2")], YES),
                (&[("a", "10")], YES),
                (&[("a", "1")], NO),
                (&[("a", "11")], NO),
                (&[("a", "abc")], FAILS),
                (&[], NO),
            ],
        ),
        ("a not between 2 and 10", &[(&[("a", "1")], YES), (&[("a", "11")], YES), (&[("a", "2")], NO), (&[], NO)]),
        ("a between -5 and 5", &[(&[("a", "-5")], YES), (&[("a", "-6")], NO)]),
        ("a not between 10 and 2", &[(&[("a", "5")], YES)]),
        ("3 BETWEEN a AND 5", &[(&[("a", "1")], YES), (&[("a", "4")], NO)]),
        // Null.
        ("a is null", &[(&[("b", "2")], YES), (&[("a", "2")], NO), (&[("a", "")], NO)]),
        ("a IS NOT NULL", &[(&[("a", "2")], YES), (&[("b", "2")], NO)]),
        ("a is null OR a='hello'", &[(&[], YES), (&[("a", "hello")], YES), (&[("a", "abc")], NO)]),
        ("a = 1 OR b = 1", &[(&[("b", "1")], YES), (&[("b", "2")], NO)]),
        ("NOT (a = 1 AND b = 1)", &[(&[("b", "2")], YES), (&[("b", "1")], NO)]),
        ("NULL", &[(&[], NO)]),
        ("NOT NULL", &[(&[], NO)]),
        ("NULL IS NULL AND NULL OR TRUE", &[(&[], YES)]),
        // Truth values.
        ("TRUE", &[(&[], YES)]),
        (
            "a=TRUE OR b=FALSE",
            &[
                (&[("a", "true"), ("b", "false")], YES),
                (&[("a", "TrUe")], YES),
                (&[("a", "false"), ("b", "true")], NO),
                (&[("a", "x"), ("b", "x")], YES),
            ],
        ),
        ("TRUE = a", &[(&[("a", "true")], FAILS), (&[], NO)]),
        ("a", &[(&[("a", "true")], NO), (&[], NO)]),
        ("NOT a", &[(&[("a", "true")], YES), (&[], NO)]),
        ("NOT a = 3", &[(&[("a", "4")], NO), (&[("a", "3")], NO)]),
        ("NOT a = TRUE", &[(&[("a", "4")], YES)]),
        ("a = 3 = TRUE", &[(&[("a", "3")], YES), (&[("a", "4")], NO)]),
        ("3 = TRUE", &[(&[], NO)]),
        ("1 = 1.0 AND 3 < 3000000000 AND 2.5 > 2", &[(&[], YES)]),
        ("-a = 3", &[(&[("a", "-3")], NO)]),
        // Texts.
        ("a = 'x'", &[(&[("a", "x")], YES), (&[("a", "X")], NO), (&[], NO)]),
        ("a = 'it''s' OR a = ''", &[(&[("a", "it's")], YES), (&[("a", "")], YES), (&[("a", "it''s")], NO)]),
        ("TAGS is not null and TAGS='''''tag'''''", &[(&[("TAGS", "''tag''")], YES)]),
        (
            "a in ('3', '4', '5')",
            &[(&[("a", "3")], YES), (&[("a", "5")], YES), (&[("a", "8")], NO), (&[("a", "3.0")], NO), (&[], NO)],
        ),
        ("a not in ('3', '4')", &[(&[("a", "8")], YES), (&[("a", "3")], NO), (&[], NO)]),
        ("a contains 'b'", &[(&[("a", "abc")], YES), (&[("a", "ac")], NO), (&[], NO)]),
        ("a NOT CONTAINS 'b'", &[(&[("a", "ac")], YES), (&[("a", "abc")], NO), (&[], NO)]),
        ("a CONTAINS ''", &[(&[("a", "x")], NO)]),
        ("a NOT CONTAINS ''", &[(&[("a", "x")], NO)]),
        ("NOT (a CONTAINS 'b')", &[(&[], YES)]),
        ("a STARTSWITH 'ab' AND a ENDSWITH 'yz'", &[(&[("a", "ab..yz")], YES), (&[("a", "b..yz")], NO)]),
        ("a NOT STARTSWITH 'ab' OR a NOT ENDSWITH 'yz'", &[(&[("a", "abyz")], NO), (&[("a", "abc")], YES), (&[], NO)]),
        ("a > 1 CONTAINS 'x'", &[(&[("a", "2")], NO)]),
        // Names keep their case, words do not.
        ("A = '1' aNd b IS nOT nULL", &[(&[("A", "1"), ("b", "")], YES), (&[("a", "1"), ("b", "")], NO)]),
        ("$x_1 = '1' AND _y = '2'", &[(&[("$x_1", "1"), ("_y", "2")], YES)]),
        // Properties with columns of their own.
        (
            "TAGS = 'paid' AND KEYS CONTAINS 'k2'",
            &[(&[("TAGS", "paid"), ("KEYS", "k1 k2")], YES), (&[("TAGS", "paid")], NO)],
        ),
        ("KEYS = 'k1 k2' OR KEYS IS NULL", &[(&[("KEYS", "k1 k2")], YES), (&[], YES), (&[("KEYS", "k1")], NO)]),
        ("REGION = 'here' AND UNIQ_KEY IS NULL AND tag IS NULL", &[(&[("TAGS", "t")], YES)]),
        // Layout and comments.
        ("a -- text\n /* and ** more */ = /**/ 3", &[(&[("a", "3")], YES)]),
        ("a > --3", &[(&[("a", "4")], YES)]),
        ("( ( a = 1 ) ) AND\r\n\t(b='2')", &[(&[("a", "1"), ("b", "2")], YES)]),
        ("a = 1 OR a = 2 AND b = 2", &[(&[("a", "1")], YES), (&[("a", "2"), ("b", "1")], NO)]),
    ];
    for (expression, cases) in table {
        for (row, expected) in *cases {
            assert_eq!(answer(expression, row), *expected, "{expression} of {row:?}");
        }
    }
}

#[test]
fn rows_of_a_batch_have_their_own_answers() {
    let rows: [&[(&str, &str)]; 6] = [
        &[("a", "5"), ("b", "x")],
        &[("b", "x"), ("a", "7")],
        &[],
        &[("c", "1"), ("d", "2"), ("a", "9")],
        &[("a", "no")],
        &[("a", "6")],
    ];
    let selection = selected("a > 5 AND (b = 'x' OR a > 8) OR b IS NULL AND a = 6", &rows);
    assert_eq!(selection.passing, [1, 3, 5]);
    let (count, first, why) = selection.failed.unwrap();
    assert_eq!((count, first), (1, 4));
    assert!(why.contains("\"no\" is not a whole number"), "{why}");
    // A slice of a batch is a batch.
    let sliced = compiled("a > 5").unwrap().select(&batch(&rows).slice(1, 3)).unwrap();
    assert_eq!(sliced.passing, [0, 2]);
}
