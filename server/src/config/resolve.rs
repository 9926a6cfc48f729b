//! Puts settings from the four places together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::error::Origin;
use super::{Config, ConfigError, SETTINGS};

const PREFIX: &str = "MILLSTREAM_";
/// Variables of clients, and of the build and its tests; the server takes no notice of them.
const OTHERS: [&str; 13] = [
    "MILLSTREAM_URL",
    "MILLSTREAM_NAMESPACE",
    "MILLSTREAM_USER",
    "MILLSTREAM_PASSWORD",
    "MILLSTREAM_TOKEN",
    "MILLSTREAM_TLS_CA",
    "MILLSTREAM_TLS_FINGERPRINT",
    "MILLSTREAM_TLS_CLIENT_CERT",
    "MILLSTREAM_TLS_CLIENT_KEY",
    "MILLSTREAM_CACHE",
    "MILLSTREAM_BIN",
    "MILLSTREAM_GUESTS_DIR",
    "MILLSTREAM_GUEST_RUSTFLAGS",
];
const DATA: &str = "data";
const CONFIG: &str = "config";

/// What the command line gave, by file key.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub data: Option<PathBuf>,
    pub config: Option<PathBuf>,
    /// Key and value of every other setting that was given.
    pub values: BTreeMap<&'static str, String>,
}

/// Resolves the settings of `serve` and checks them. `environment` holds all variables of the process.
pub fn resolve(flags: &Flags, environment: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let environment = own_variables(environment)?;
    let file = match flags.config.clone().or_else(|| environment.get(CONFIG).map(PathBuf::from)) {
        Some(path) => Some((read_file(&path)?, path)),
        None => None,
    };
    let of_file = |key: &str| file.as_ref().and_then(|(values, _)| values.get(key));
    let data = flags
        .data
        .clone()
        .or_else(|| environment.get(DATA).map(PathBuf::from))
        .or_else(|| of_file(DATA).map(PathBuf::from))
        .filter(|path| !path.as_os_str().is_empty())
        .ok_or(ConfigError::NoData)?;

    let mut config = Config::new(data);
    for setting in SETTINGS {
        let given = if let Some(text) = flags.values.get(setting.key) {
            Some((text, Origin::Flag(format!("--{}", setting.flag().unwrap_or_default()))))
        } else if let Some(text) = environment.get(setting.key) {
            Some((text, Origin::Variable(setting.variable())))
        } else {
            file.as_ref().and_then(|(values, path)| {
                let origin = Origin::Key { key: setting.key.to_owned(), path: path.clone() };
                values.get(setting.key).map(|text| (text, origin))
            })
        };
        if let Some((text, origin)) = given {
            setting.apply(&mut config, text).map_err(|message| ConfigError::Value { origin, message })?;
        }
    }
    Ok(config)
}

fn keys() -> impl Iterator<Item = &'static str> {
    [DATA].into_iter().chain(SETTINGS.iter().map(|setting| setting.key))
}

/// Picks our variables, by file key. Kubernetes gives every pod `<SERVICE>_SERVICE_*` and `<SERVICE>_PORT*` variables of
/// the services beside it, so a service named millstream would otherwise stop its own server.
fn own_variables(
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let mut found = BTreeMap::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if OTHERS.contains(&name.as_str()) || rest.starts_with("SERVICE_") || rest.starts_with("PORT") {
            continue;
        }
        let Some(key) = keys().chain([CONFIG]).find(|key| key.to_ascii_uppercase() == rest) else {
            let known = keys().chain([CONFIG]).map(|key| format!("{PREFIX}{}", key.to_ascii_uppercase()));
            return Err(ConfigError::Unknown { kind: "environment variable", name, known: known.collect() });
        };
        found.insert(key, value);
    }
    Ok(found)
}

fn read_file(path: &Path) -> Result<BTreeMap<String, String>, ConfigError> {
    let failed = |message: String| ConfigError::File { path: path.to_owned(), message };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| failed(error.to_string().trim().to_owned()))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !keys().any(|known| known == key) {
            let known = keys().map(str::to_owned).collect();
            return Err(ConfigError::Unknown { kind: "key", name: format!("{key} in {}", path.display()), known });
        }
        let text = scalar(value).ok_or_else(|| ConfigError::Value {
            origin: Origin::Key { key: key.clone(), path: path.to_owned() },
            message: "a text, a whole number or a boolean is expected".to_owned(),
        })?;
        values.insert(key, text);
    }
    Ok(values)
}

fn scalar(value: toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn flags(pairs: &[(&'static str, &str)]) -> Flags {
        let values = pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        Flags { data: Some("/d".into()), config: None, values }
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("millstream.toml");
        std::fs::write(&path, "data = '/file'\ntail_bytes = '1MiB'\nqueue_bytes = 1048576\nsegment_threads = 3\n")
            .unwrap();
        let environment = variables(&[
            ("MILLSTREAM_CONFIG", path.to_str().unwrap()),
            ("MILLSTREAM_TAIL_BYTES", "2MiB"),
            ("MILLSTREAM_QUEUE_BYTES", "2MiB"),
            ("HOME", "/"),
        ]);
        let mut given = flags(&[("tail_bytes", "3MiB")]);
        given.data = None;
        let config = resolve(&given, environment).unwrap();
        assert_eq!(config.engine.tail_bytes, 3 << 20);
        assert_eq!(config.engine.queue_bytes, 2 << 20);
        assert_eq!(config.engine.segment_threads, 3);
        assert_eq!(config.engine.dir, Path::new("/file"));
        assert_eq!(config.engine.log_file_bytes, Config::new("/").engine.log_file_bytes);
    }

    #[test]
    fn unknown_names_are_errors_that_list_the_known() {
        let error = resolve(&flags(&[]), variables(&[("MILLSTREAM_TAIL_BITES", "1")])).unwrap_err().to_string();
        assert!(error.starts_with("unknown environment variable MILLSTREAM_TAIL_BITES; known are: "), "{error}");
        assert!(error.contains("MILLSTREAM_TAIL_BYTES") && error.contains("MILLSTREAM_CONFIG"), "{error}");

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "tail_bites = 1\n").unwrap();
        let given = Flags { config: Some(path.clone()), ..flags(&[]) };
        let error = resolve(&given, []).unwrap_err().to_string();
        assert!(error.starts_with(&format!("unknown key tail_bites in {}", path.display())), "{error}");
        assert!(error.contains("tail_bytes"), "{error}");
    }

    #[test]
    fn other_variables_with_our_prefix_that_are_not_settings_are_left_alone() {
        let environment = [
            ("MILLSTREAM_URL", "grpc://h:1"),
            ("MILLSTREAM_TLS_CA", "ca.pem"),
            ("MILLSTREAM_PORT_8081_TCP", "x"),
            ("MILLSTREAM_SERVICE_HOST", "y"),
        ];
        resolve(&flags(&[]), variables(&environment)).unwrap();
    }

    #[test]
    fn a_wrong_value_names_its_place() {
        let error = resolve(&flags(&[("segment_threads", "65")]), []).unwrap_err().to_string();
        assert_eq!(error, "flag --segment-threads: 65 is out of range; 0 to 64 are allowed");
        let error = resolve(&flags(&[]), variables(&[("MILLSTREAM_GRPC", "here")])).unwrap_err().to_string();
        assert!(error.starts_with("environment variable MILLSTREAM_GRPC: \"here\" is not an address"), "{error}");
        assert_eq!(resolve(&Flags::default(), []).unwrap_err(), ConfigError::NoData);
    }

    #[test]
    fn every_default_is_in_its_own_range_and_survives_being_written() {
        let defaults = Config::new("/d");
        for setting in SETTINGS {
            let text = setting.show(&defaults);
            if text.is_empty() {
                continue;
            }
            let mut config = Config::new("/d");
            setting.apply(&mut config, &text).unwrap_or_else(|error| panic!("{}: {error}", setting.key));
            assert_eq!(setting.show(&config), text, "{}", setting.key);
        }
    }
}
