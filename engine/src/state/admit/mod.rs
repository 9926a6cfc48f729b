//! Whether changes fit what is defined.

mod admitting;
mod callables;
mod changes;
mod checkbacks;
mod consumers;
mod continuous;

use admitting::Admitting;
