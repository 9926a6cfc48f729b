//! Plugins in selectors.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use millstream_engine::{
    FunctionSignature, LoadedPlugin, Lsn, OperatorError, PluginDescription, PluginId, PluginInfo, PluginKind,
    PluginLimits, Principal, ScalarFunction, TopicPlugins, Volatility,
};
use parking_lot::Mutex;

use super::{Filters, NAMES, batch};

/// A filter that says of which rows it was asked.
#[derive(Debug)]
pub(super) struct Long(FunctionSignature, Mutex<Vec<usize>>);

impl ScalarFunction for Long {
    fn name(&self) -> &str {
        "long"
    }

    fn signature(&self) -> &FunctionSignature {
        &self.0
    }

    fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        self.1.lock().push(rows);
        let (bodies, least) = (arguments[0].as_binary::<i32>(), arguments[1].as_primitive::<Int64Type>());
        let answer =
            (0..rows).map(|row| least.is_valid(row).then(|| bodies.value(row).len() as i64 >= least.value(row)));
        Ok(Arc::new(answer.collect::<BooleanArray>()))
    }
}

fn signature(parameters: &[(&str, DataType)]) -> FunctionSignature {
    FunctionSignature {
        parameters: parameters.iter().map(|(name, kind)| ((*name).to_owned(), kind.clone())).collect(),
        returns: DataType::Boolean,
        volatility: Volatility::Immutable,
    }
}

fn installed(function: Arc<dyn ScalarFunction>) -> TopicPlugins {
    let description = PluginDescription {
        name: function.name().to_owned(),
        kind: PluginKind::Filter,
        contract: String::new(),
        parameters: function.signature().parameters.clone(),
        returns: DataType::Boolean,
        volatility: Volatility::Immutable,
        capabilities: BTreeSet::new(),
        outputs: Vec::new(),
        tables: Vec::new(),
        http_hosts: Vec::new(),
    };
    let info = PluginInfo {
        id: PluginId(1),
        namespace: "n".to_owned(),
        name: function.name().to_owned(),
        version: 1,
        sha256: String::new(),
        module_bytes: 0,
        description,
        limits: PluginLimits::default(),
        config: String::new(),
        grants: BTreeSet::new(),
        tables: Vec::new(),
        suspended: None,
        http_hosts: Vec::new(),
        owner: Principal::anonymous(),
        created: Lsn(1),
    };
    TopicPlugins { plugins: vec![(Arc::new(info), LoadedPlugin::Function(function))], functions: Vec::new() }
}

pub(super) fn with_plugin() -> (Arc<Long>, TopicPlugins) {
    let signature = signature(&[("body", DataType::Binary), ("least", DataType::Int64)]);
    let long = Arc::new(Long(signature, Mutex::default()));
    (Arc::clone(&long), installed(long))
}

/// A filter that every message passes whose amount is there.
#[derive(Debug)]
struct Paid(FunctionSignature);

impl ScalarFunction for Paid {
    fn name(&self) -> &str {
        "paid"
    }

    fn signature(&self) -> &FunctionSignature {
        &self.0
    }

    fn call(&self, arguments: &[ArrayRef], _: usize) -> Result<ArrayRef, OperatorError> {
        Ok(Arc::new(arrow::compute::is_not_null(&arguments[0]).unwrap()))
    }
}

#[test]
fn texts_are_given_to_plugins_as_casts_in_sql_read_them() {
    let rows: [&[(&str, &str)]; 6] = [
        &[("amount", "1e400")],
        &[("amount", "12")],
        &[("amount", "-1e39")],
        &[("amount", "inf")],
        &[("amount", "twelve")],
        &[("amount", "2013-01-01 10:00")],
    ];
    let second = DataType::Timestamp(TimeUnit::Microsecond, None);
    for (kind, fit) in [
        (DataType::Float64, vec![1, 2, 3]),
        (DataType::Float32, vec![1, 3]),
        (DataType::Int16, vec![1]),
        (DataType::Decimal128(4, 2), vec![1]),
        (second, vec![5]),
    ] {
        let plugins = installed(Arc::new(Paid(signature(&[("amount", kind.clone())]))));
        let filter = |expression: &str| Filters::default().get("n", expression, NAMES, &plugins);
        if let Ok(filter) = filter("paid(amount)") {
            assert_eq!(filter.select(&batch(&rows)).unwrap().passing, fit, "{kind}");
        } else {
            assert!(matches!(kind, DataType::Timestamp(..)), "{kind}: a property is taken for it");
        }
        for (row, values) in (0..).zip(rows) {
            let constant = filter(&format!("paid('{}')", values[0].1));
            assert_eq!(constant.is_ok(), fit.contains(&row), "{kind} {}", values[0].1);
        }
    }
}

#[test]
fn plugins_are_called_by_name_about_what_the_rest_leaves_open() {
    let (long, plugins) = with_plugin();
    let filter = |expression: &str| Filters::default().get("n", expression, NAMES, &plugins);
    let rows: [&[(&str, &str)]; 5] = [
        &[("a", "1"), ("least", "1")],
        &[("a", "12345"), ("least", "3")],
        &[("a", "77")],
        &[("a", "777"), ("least", "many")],
        &[("b", "x"), ("least", "1")],
    ];
    let passing = |expression: &str| {
        let selection = filter(expression).unwrap_or_else(|error| panic!("{error}")).select(&batch(&rows)).unwrap();
        (selection.passing, selection.failed.map(|(_, row, _)| row), std::mem::take(&mut *long.1.lock()))
    };
    assert_eq!(passing("LONG(body, 2) AND a > 70"), (vec![1, 2, 3], None, vec![3]), "cheap conditions come first");
    assert_eq!(passing("a > 70 AND NOT long(body, 4)"), (vec![2, 3], None, vec![3]));
    assert_eq!(passing("a = 1 OR long(body, -1)"), (vec![0, 1, 2, 3, 4], None, vec![4]));
    assert_eq!(passing("long()"), (vec![0, 1, 4], Some(3), vec![4]), "by the names of its parameters");
    assert_eq!(passing("a < 0 AND long()"), (vec![], None, vec![]), "nothing is left to ask about");
    for (expression, message) in [
        ("long(body)", "long takes (body Binary, least Int64), and is given 1"),
        ("long(attempts, 1)", "body can't be the column attempts, which is Int32"),
        ("long(body, 'x')", "least can't be x"),
        ("long(body, 1.5)", "least can't be 1.5"),
        ("long(body, keys)", "least can't be the column keys"),
        ("long(body, )", "a column, a property or a value is expected, and ) found"),
        ("long(body, a = 1)", ", is expected, and = found"),
        ("long > 1 > long()", "compare numbers"),
    ] {
        let error = filter(expression).expect_err(expression).to_string();
        assert!(error.contains(message), "{expression}: {error}");
    }
}
