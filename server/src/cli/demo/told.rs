//! What the demo says.

use crate::cli::exit::Failure;
use crate::cli::output::say;

/// Begins a step.
pub(super) fn step(title: &str) -> Result<(), Failure> {
    say(&format!("\n== {title}\n"))
}

/// Says one number of a step.
pub(super) fn tell(text: &str) -> Result<(), Failure> {
    say(&format!("   {text}\n"))
}
