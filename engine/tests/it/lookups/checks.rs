//! Checkback handlers: what becomes of half messages when their handler fails.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use millstream_engine::{CheckVerdict, Checked, FailureKind, PluginSettings, PluginSpec};

use super::host::Words;
use crate::fixture::{Fixture, who};
use CheckVerdict::{Commit, Rollback, Unknown};

fn handler(deed: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.engine.set_plugin_host(Arc::new(Words::default()));
    let spec = PluginSpec {
        namespace: "public".to_owned(),
        name: "h".to_owned(),
        module: format!("check {deed}").into_bytes().into(),
        settings: PluginSettings::default(),
    };
    fixture.engine.create_plugin(&who(), spec, false).expect("it is created");
    fixture
}

fn check(fixture: &Fixture, numbers: impl IntoIterator<Item = i32>) -> Checked {
    let column: ArrayRef = Arc::new(Int32Array::from_iter_values(numbers));
    let batch = RecordBatch::try_from_iter([("n", column)]).expect("a batch");
    fixture.engine.check_half_messages(&who(), "public", "h", &batch).expect("it is asked")
}

#[test]
fn each_half_message_has_its_verdict() {
    let checked = check(&handler("well"), 0..5);
    assert_eq!(checked.verdicts, [Commit, Rollback, Commit, Rollback, Commit]);
    assert!(checked.faults.is_empty());
    assert!(check(&handler("well"), []).verdicts.is_empty());
}

#[test]
fn an_error_makes_all_of_its_call_unknown() {
    for deed in ["error", "host", "panic"] {
        let checked = check(&handler(deed), 10..16);
        assert_eq!(checked.verdicts, [Unknown; 6], "{deed}");
        let [fault] = &checked.faults[..] else { panic!("{:?}", checked.faults) };
        assert_eq!(fault.rows, 0..6, "{deed}");
    }
}

#[test]
fn only_the_rows_at_fault_are_unknown_after_a_trap() {
    for (deed, kind) in [("trap", FailureKind::Trap), ("spin", FailureKind::Timeout), ("few", FailureKind::BadOutput)] {
        let checked = check(&handler(deed), [1, 2, 13, 4, 5, 6, 7]);
        assert_eq!(checked.verdicts, [Rollback, Commit, Unknown, Commit, Rollback, Commit, Rollback], "{deed}");
        let [fault] = &checked.faults[..] else { panic!("{:?}", checked.faults) };
        assert_eq!((fault.rows.clone(), fault.error.kind), (2..3, kind), "{deed}");
    }
}

#[test]
fn a_handler_that_only_fails_is_not_asked_for_ever() {
    let checked = check(&handler("trap"), (0..100_000).map(|_| 13));
    assert!(checked.verdicts.iter().all(|verdict| *verdict == Unknown));
    assert_eq!(checked.verdicts.len(), 100_000);
    let told: usize = checked.faults.iter().map(|fault| fault.rows.len()).sum();
    assert_eq!((told, checked.faults.len()), (100_000, 1));
}

#[test]
fn half_messages_without_its_columns_are_refused() {
    let fixture = handler("well");
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    for (name, reason) in
        [("m", "reads \"n\", which half messages don't have"), ("n", "reads \"n\" as Int32, and not as Utf8")]
    {
        let batch = RecordBatch::try_from_iter([(name, text.clone())]).expect("a batch");
        let error = fixture.engine.check_half_messages(&who(), "public", "h", &batch).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
}
