//! How commands fail: 1 failed, 2 usage, 3 unreachable.

use std::fmt;
use std::process::ExitCode;

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const UNREACHABLE: u8 = 3;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The command was understood, and failed.
    pub(crate) fn failed(message: impl fmt::Display) -> Failure {
        Failure { code: FAILED, message: message.to_string() }
    }

    /// The command can't be meant like that.
    pub(crate) fn usage(message: impl fmt::Display) -> Failure {
        Failure { code: USAGE, message: message.to_string() }
    }

    /// There is no server, or no longer.
    pub(crate) fn unreachable(message: impl fmt::Display) -> Failure {
        Failure { code: UNREACHABLE, message: message.to_string() }
    }

    /// Whether there is no server to ask further.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.code == UNREACHABLE
    }

    /// Says where it happened.
    pub(crate) fn within(self, place: impl fmt::Display) -> Failure {
        Failure { message: format!("{place}: {}", self.message), ..self }
    }

    /// Says the message on standard error.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("error: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
