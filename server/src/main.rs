//! The `millstream` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    millstream_server::cli::main()
}
