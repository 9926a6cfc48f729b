use arrow_schema::TimeUnit;

use super::*;
use crate::contract::OFFERS;
use crate::contract::wire::WireTableUse;

fn parameters(parameters: &[(&str, &str)]) -> Vec<WireParameter> {
    let parameter = |(name, data_type): &(&str, &str)| WireParameter {
        name: (*name).to_owned(),
        data_type: (*data_type).to_owned(),
    };
    parameters.iter().map(parameter).collect()
}

fn described(name: &str, declared: &[(&str, &str)]) -> Result<PluginDescription, OperatorError> {
    let (name, parameters) = (name.to_owned(), parameters(declared));
    let wire = WireFilterV1 { name, parameters, volatility: WireVolatility::Immutable };
    Description::from(wire).check(&OFFERS[0], &BTreeSet::new())
}

fn function(returns: &str, volatility: WireVolatility, capabilities: Vec<WireCapability>) -> Description {
    let (name, returns) = ("f".to_owned(), returns.to_owned());
    WireFunction { name, parameters: Vec::new(), returns, volatility, capabilities }.into()
}

#[test]
fn flat_types_are_read_as_arrow_writes_them() {
    let types = [
        DataType::Boolean,
        DataType::Int8,
        DataType::UInt64,
        DataType::Float32,
        DataType::Float64,
        DataType::Decimal128(38, 10),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        DataType::Utf8,
        DataType::Binary,
    ];
    for data_type in types {
        let text = data_type.to_string();
        let description = described("f", &[("a", &text)]).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(description.parameters, [("a".to_owned(), data_type)]);
    }
}

#[test]
fn a_description_is_checked() {
    let long = "n".repeat(MAX_NAME + 1);
    let many: Vec<String> = (0..=MAX_PARAMETERS).map(|i| format!("p{i}")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "Int8")).collect();
    for (name, parameters, reason) in [
        ("", &[][..], "its name"),
        (&*long, &[], "its name"),
        ("f", &[("a", "Float23")], "has type"),
        ("f", &[("a", "Utf8View")], "has type"),
        ("f", &[("a", "Decimal128(40, 2)")], "has type"),
        ("f", &[("a", "Timestamp(ms, \"Europe/Berlin\")")], "has type"),
        ("f", &[("a", "Int8"), ("a", "Int16")], "declared twice"),
        ("f", &[("a\nb", "Int8")], "parameter name"),
        ("f", &many, "more than 64"),
    ] {
        let error = described(name, parameters).err().map(|e| (e.kind, e.message));
        let error = error.unwrap_or_else(|| panic!("{name:?} {parameters:?} is taken"));
        assert_eq!(error.0, FailureKind::BadOutput);
        assert!(error.1.contains(reason), "{} lacks {reason:?}", error.1);
    }
}

#[test]
fn what_is_asked_for_must_be_offered_and_fit_the_volatility() {
    let (immutable, volatile) = (WireVolatility::Immutable, WireVolatility::Volatile);
    let table = || WireTableUse { name: "airports".to_owned(), key: Vec::new(), columns: Vec::new() };
    let clock = BTreeSet::from([Capability::Clock]);
    let none = BTreeSet::new();
    for (description, imported, reason) in [
        (function("Int99", immutable, vec![]), &none, "it returns \"Int99\""),
        (function("Int8", immutable, vec![WireCapability::Random]), &none, "immutable, and asks for \"random\""),
        (function("Int8", volatile, vec![]), &clock, "imports \"clock\" without asking"),
        (function("Int8", volatile, vec![WireCapability::State]), &none, "asks for state"),
        (function("Int8", volatile, vec![WireCapability::Table(table())]), &none, "table \"airports\""),
        (function("Int8", volatile, vec![WireCapability::Http("a.b".to_owned())]), &none, "requests to \"a.b\""),
    ] {
        let error = description.check(&OFFERS[2], imported).expect_err(reason);
        assert!(error.message.contains(reason), "{error} lacks {reason:?}");
    }
    let sound = function("Utf8", volatile, vec![WireCapability::Clock]).check(&OFFERS[2], &clock).expect("sound");
    assert_eq!((sound.returns, sound.capabilities), (DataType::Utf8, clock));
}
