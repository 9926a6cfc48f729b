//! Passwords that commands are given, beside arguments, which every user of a machine can see.

use std::io::{IsTerminal, Read};
use std::path::Path;

use console::Term;

use super::exit::Failure;

/// More than any password or token has.
const MAX_BYTES: u64 = 64 << 10;

/// What a file holds, or standard input where it is called `-`; without the end of the line.
pub(super) fn read_file(path: &Path) -> Result<String, Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("cannot read the password in {}: {error}", path.display()));
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    }
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(line.to_owned())
}

/// Asks whoever sits there, without showing what he types; `None` if nobody does.
pub(super) fn ask(user: &str) -> Result<Option<String>, Failure> {
    if !is_person() {
        return Ok(None);
    }
    typed(&format!("password of {user}: ")).map(Some)
}

/// Asks for a password that is to be, twice.
pub(super) fn ask_new(user: &str) -> Result<String, Failure> {
    if !is_person() {
        return Err(Failure::usage(
            "there is no terminal to ask for the password: say --password-file FILE, or - for standard input",
        ));
    }
    let password = typed(&format!("new password of {user}: "))?;
    match typed("once more: ")? == password {
        true => Ok(password),
        false => Err(Failure::failed("the two differ; nothing was changed")),
    }
}

fn is_person() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn typed(prompt: &str) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::failed(format!("cannot read from the terminal: {error}"));
    let term = Term::stderr();
    term.write_str(prompt).map_err(failed)?;
    term.read_secure_line().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_a_password_and_the_end_of_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (text, expected) in [("secret", "secret"), ("a b\r\n", "a b"), (" x \n\n", " x \n"), ("", "")] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_file(&path).unwrap(), expected);
        }
        let missing = read_file(&dir.path().join("missing")).unwrap_err().to_string();
        assert!(missing.contains("missing"), "{missing}");
    }
}
