//! The Prometheus text format.

use std::fmt::Write as _;

pub(super) fn header_lines(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}\n");
}

pub(super) fn line(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(out, "millstream_{name}{labels} {value}");
}

pub(super) fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
