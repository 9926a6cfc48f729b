//! The help of every command, word by word. `UPDATE_GOLDEN=1 cargo test -p millstream help` writes it anew.

use std::path::Path;

use crate::program::{code, millstream, stdout};

const COMMANDS: [&[&str]; 49] = [
    &[],
    &["serve"],
    &["passwd"],
    &["sql"],
    &["import"],
    &["export"],
    &["produce"],
    &["consume"],
    &["topic"],
    &["topic", "list"],
    &["topic", "create"],
    &["topic", "drop"],
    &["topic", "show"],
    &["group"],
    &["group", "list"],
    &["group", "show"],
    &["group", "reset"],
    &["group", "drop"],
    &["message"],
    &["message", "send"],
    &["message", "get"],
    &["message", "query"],
    &["message", "trace"],
    &["message", "recall"],
    &["message", "resend"],
    &["transaction"],
    &["transaction", "list"],
    &["transaction", "commit"],
    &["transaction", "rollback"],
    &["plugin"],
    &["plugin", "list"],
    &["plugin", "load"],
    &["plugin", "drop"],
    &["plugin", "new"],
    &["plugin", "build"],
    &["plugin", "test"],
    &["plugin", "inspect"],
    &["plugin", "stats"],
    &["plugin", "logs"],
    &["plugin", "resume"],
    &["plugin", "key"],
    &["plugin", "sign"],
    &["migrate"],
    &["migrate", "rocketmq"],
    &["backup"],
    &["restore"],
    &["doctor"],
    &["demo"],
    &["completions"],
];

#[test]
fn help_is_as_recorded() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    for command in COMMANDS {
        let output = millstream().args(command).arg("--help").env("COLUMNS", "100").output().unwrap();
        assert_eq!(code(&output), 0, "{command:?}");
        let name = if command.is_empty() { "millstream".to_owned() } else { command.join("-") };
        let path = dir.join(format!("{name}.txt"));
        let help: String = stdout(&output).lines().map(|line| format!("{}\n", line.trim_end())).collect();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &help).unwrap();
        }
        let recorded = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(help, recorded, "millstream {} --help", command.join(" "));
    }
}

#[test]
fn every_command_that_does_something_shows_an_example() {
    for command in COMMANDS {
        let output = millstream().args(command).arg("--help").output().unwrap();
        let help = stdout(&output);
        assert!(help.contains("  millstream ") || help.contains("Commands:"), "{command:?}: {help}");
    }
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        let output = millstream().args(["completions", shell]).output().unwrap();
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("consume"), "{shell}");
    }
}
