//! Random SELECTs over windows of a table `t`.

use rand::Rng;
use rand::rngs::StdRng;

/// A SELECT, whose FROM is `{}`, and its window in seconds: kind, step, size, offset.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) text: String,
    pub(super) window: (&'static str, i64, i64, i64),
}

impl Query {
    /// With the window as it is written.
    pub(super) fn sql(&self) -> String {
        let (kind, step, size, offset) = self.window;
        let lengths = match kind {
            "TUMBLE" => format!("INTERVAL '{size}' SECOND"),
            _ => format!("INTERVAL '{step}' SECOND, INTERVAL '{size}' SECONDS"),
        };
        let offset = if offset == 0 { String::new() } else { format!(", INTERVAL '{offset}' SECOND") };
        self.text.replace("{}", &format!("{kind}(TABLE t, DESCRIPTOR(ts), {lengths}{offset})"))
    }

    /// With a table that has the rows of each window.
    pub(super) fn over_rows_of_windows(&self) -> String {
        self.text.replace("{}", "t")
    }
}

fn one<'a>(of: &[&'a str], random: &mut StdRng) -> &'a str {
    of[random.random_range(0..of.len())]
}

fn some<'a>(of: &[&'a str], count: std::ops::Range<usize>, random: &mut StdRng) -> Vec<&'a str> {
    let mut chosen: Vec<&str> = Vec::new();
    for _ in 0..random.random_range(count) {
        let item = one(of, random);
        if !chosen.contains(&item) {
            chosen.push(item);
        }
    }
    chosen
}

const KEYS: [&str; 7] = ["k", "g", "v % 3", "f", "m", "upper(g)", "d"];
const SIMPLE: [&str; 14] = [
    "count(*)",
    "count(g)",
    "sum(v)",
    "sum(b)",
    "sum(m)",
    "min(g)",
    "max(ts)",
    "min(d)",
    "max(m)",
    "bool_and(f)",
    "bit_xor(v)",
    "avg(m)",
    "sum(v * 2 + 1) FILTER (WHERE f)",
    "count(*) FILTER (WHERE k > 1 OR g = 'bee')",
];
const HOLISTIC: [&str; 10] = [
    "count(DISTINCT v)",
    "sum(DISTINCT v)",
    "sum(d)",
    "avg(v)",
    "array_agg(v ORDER BY b, id)",
    "first_value(g ORDER BY b, id)",
    "last_value(v ORDER BY b, id) FILTER (WHERE v IS NOT NULL)",
    "string_agg(g, ',' ORDER BY g, id)",
    "median(m)",
    "nth_value(b, 2 ORDER BY b, id)",
];
const CONDITIONS: [&str; 7] = [
    "",
    "",
    " WHERE v > -4",
    " WHERE g IS NOT NULL AND f",
    " WHERE k BETWEEN 1 AND 2 OR d < 0",
    " WHERE extract(second FROM window_start) < 40 AND v <> 3",
    " WHERE CAST(m AS DOUBLE) > -50.5",
];

/// A query of the grammar.
pub(super) fn query(random: &mut StdRng) -> Query {
    let size = random.random_range(2..31);
    let window = match random.random_range(0..4) {
        0 | 1 => ("TUMBLE", size, size, random.random_range(-3..4)),
        2 => ("HOP", random.random_range(1..=size + 4), size, random.random_range(-3..4)),
        _ => {
            let step = random.random_range(1..8);
            ("CUMULATE", step, step * random.random_range(1..5), random.random_range(-3..4))
        }
    };
    Query { text: text(random), window }
}

fn text(random: &mut StdRng) -> String {
    let condition = one(&CONDITIONS, random);
    match random.random_range(0..10) {
        0 => format!("SELECT id, window_start, window_end, window_time, v + 1 AS w FROM {{}}{condition}"),
        1 => format!("SELECT DISTINCT window_end, g, k FROM {{}}{condition}"),
        2 => format!(
            "SELECT window_end, id, g FROM {{}}{condition} \
             QUALIFY row_number() OVER (PARTITION BY window_end ORDER BY b DESC, id) <= 2"
        ),
        3 => format!(
            "SELECT window_start, window_end, id, sum(v) OVER (PARTITION BY window_start, window_end, k ORDER BY b, id) AS s \
             FROM {{}}{condition}"
        ),
        4 => {
            let key = one(&KEYS, random);
            format!(
                "WITH a AS (SELECT window_start, window_end, {key} AS x, count(*) AS n, max(b) AS y FROM {{}}{condition} \
                 GROUP BY window_start, window_end, {key}) \
                 SELECT window_end, sum(n) AS s, max(y) AS y, count(x) AS c FROM a GROUP BY window_end"
            )
        }
        5 => format!(
            "SELECT window_end, g, n FROM (SELECT window_end, g, count(*) AS n FROM {{}} AS w{condition} \
             GROUP BY window_end, g) AS q QUALIFY rank() OVER (PARTITION BY window_end ORDER BY n DESC) = 1 \
             ORDER BY n DESC, g"
        ),
        _ => grouped(condition, random),
    }
}

fn grouped(condition: &str, random: &mut StdRng) -> String {
    let keys = some(&KEYS, 0..3, random);
    let holistic = random.random_bool(0.4);
    let mut aggregates = some(&SIMPLE, 1..5, random);
    if holistic {
        aggregates.extend(some(&HOLISTIC, 1..3, random));
    }
    let bounds = one(
        &["window_start, window_end", "window_end", "window_time", "window_start, window_end, window_time"],
        random,
    );
    let mut items: Vec<String> = vec![bounds.to_owned()];
    items.extend(keys.iter().enumerate().map(|(index, key)| format!("{key} AS key{index}")));
    items.extend(aggregates.iter().enumerate().map(|(index, aggregate)| format!("{aggregate} AS a{index}")));
    let having = one(&["", "", "", " HAVING count(*) > 1", " HAVING sum(v) > 0 OR max(g) = 'cat'"], random);
    let order = one(&["", "", " ORDER BY a0 DESC"], random);
    let groups: Vec<&str> = std::iter::once(bounds).chain(keys.iter().copied()).collect();
    format!("SELECT {} FROM {{}}{condition} GROUP BY {}{having}{order}", items.join(", "), groups.join(", "))
}
