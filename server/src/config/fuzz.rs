//! Mutated configuration: settings that are in their ranges, or an error.

use super::{Config, Flags, SETTINGS, Setting, resolve};
use crate::fuzz::fuzz;

const PIECES: &[&str] = &[
    "\"",
    "'",
    "\"\"\"",
    "=",
    "\n",
    "#",
    "[a]",
    "[[a]]",
    "{a = 1}",
    "\\u",
    "-1",
    "18446744073709551616",
    "1e999",
    "KiB",
    "TB",
    ",",
    ":",
    "é",
    "data = 1",
];

/// Names of hosts would be looked up, so settings that are addresses are left out; `show` tells nothing of secrets.
fn settings() -> impl Iterator<Item = (&'static Setting, String)> {
    let defaults = Config::new("/d");
    let shown = move |setting: &'static Setting| (setting, setting.show(&defaults));
    SETTINGS.iter().filter(|setting| setting.form() != "ADDR").map(shown).filter(|(_, text)| !text.is_empty())
}

/// Whether it is taken; what is taken is written as something that is taken again, as the same.
fn is_taken(flags: &Flags, environment: impl IntoIterator<Item = (String, String)>) -> bool {
    let Ok(config) = resolve(flags, environment) else { return false };
    for (setting, _) in settings() {
        let text = setting.show(&config);
        let mut again = Config::new("/d");
        if !text.is_empty() {
            let applied = setting.apply(&mut again, &text);
            assert!(applied.is_ok() && setting.show(&again) == text, "{}: {text:?} {applied:?}", setting.key);
        }
    }
    true
}

#[test]
fn a_mutated_file_is_settings_or_an_error() {
    let lines = settings().map(|(setting, text)| format!("{} = {text:?}\n", setting.key));
    let text: String = std::iter::once("data = '/d'\n".to_owned()).chain(lines).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("millstream.toml");
    let flags = Flags { config: Some(path.clone()), ..Flags::default() };
    fuzz(text.as_bytes(), PIECES, |bytes| {
        std::fs::write(&path, bytes).unwrap();
        is_taken(&flags, [])
    });
}

#[test]
fn mutated_variables_are_settings_or_an_error() {
    let lines = settings().map(|(setting, text)| format!("{}={text}\n", setting.variable()));
    let text: String = lines.collect();
    let flags = Flags { data: Some("/d".into()), ..Flags::default() };
    fuzz(text.as_bytes(), PIECES, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        is_taken(&flags, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>())
    });
}

#[test]
fn mutated_flags_are_settings_or_an_error() {
    let keys: Vec<&'static str> = settings().map(|(setting, _)| setting.key).collect();
    let text: String = settings().map(|(_, text)| format!("{text}\n")).collect();
    fuzz(text.as_bytes(), PIECES, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let values = keys.iter().copied().zip(text.lines().map(str::to_owned)).collect();
        is_taken(&Flags { data: Some("/d".into()), config: None, values }, [])
    });
}
