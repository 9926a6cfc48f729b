//! The Millstream client: producers, consumer groups and SQL over Arrow Flight.

pub mod protocol;
