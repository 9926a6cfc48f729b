//! Limits of namespaces as one setting: `plugin_memory=1GiB,plugin_cpu=1.5`.

use millstream_engine::{NamespaceLimit, NamespaceLimits, cpu_milli};

use super::values::{parse_bytes, parse_count, show_bytes};

pub(super) fn parse(text: &str) -> Result<NamespaceLimits, String> {
    let mut limits = NamespaceLimits::default();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, value) = entry.split_once('=').ok_or_else(|| format!("{entry:?} is not of the form limit=value"))?;
        let (name, value) = (name.trim(), value.trim());
        let limit = NamespaceLimit::of_namespaces().find(|limit| limit.name() == name).ok_or_else(|| {
            let known = NamespaceLimit::of_namespaces().map(NamespaceLimit::name).collect::<Vec<_>>().join(", ");
            format!("{name:?} is not a limit of namespaces; there are {known}")
        })?;
        let number = match limit {
            limit if limit.is_bytes() => parse_bytes(value)?,
            NamespaceLimit::PluginCpu => cpu_milli(value)
                .map(u64::from)
                .ok_or_else(|| format!("{value:?} is not a number of cores such as 0.5"))?,
            _ => parse_count(value)?,
        };
        if number < limit.least() {
            return Err(format!("{name} is {value}, which is too little to run anything"));
        }
        limits.set(limit, Some(number));
    }
    Ok(limits)
}

pub(super) fn show(limits: &NamespaceLimits) -> String {
    let set = NamespaceLimit::of_namespaces().filter_map(|limit| Some((limit, limits.get(limit)?)));
    let shown = set.map(|(limit, value)| {
        let value = match limit {
            limit if limit.is_bytes() => show_bytes(value),
            // Thousandths of cores, far below 2^52.
            NamespaceLimit::PluginCpu => (value as f64 / 1e3).to_string(),
            _ => value.to_string(),
        };
        format!("{}={value}", limit.name())
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_written() {
        let text = "plugin_memory=1GiB,plugin_cpu=1.5,plugin_concurrency=16,plugin_timeout_max=5000,plugin_count=20";
        let limits = parse(&text.replace(',', " , ")).unwrap();
        assert_eq!(limits.get(NamespaceLimit::PluginCpu), Some(1_500));
        assert_eq!(show(&limits), text);
        assert_eq!(parse("").map(|limits| show(&limits)).as_deref(), Ok(""));
        for wrong in ["plugin_memory", "memory=1", "plugin_cpu=lots", "plugin_concurrency=0", "plugin_memory=1KiB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
