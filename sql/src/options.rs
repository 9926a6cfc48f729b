//! Settings of the SQL room.

use std::path::PathBuf;

/// Settings of [`crate::SqlEngine::new`].
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// What all running queries together may hold in memory; a query over it fails with `ResourceExhausted`.
    pub memory_limit_bytes: usize,
    /// Directories that COPY and CREATE PLUGIN may read from and write to; with none they reach no file.
    pub file_roots: Vec<PathBuf>,
    /// Directories of the server itself, such as its data directory: their files are out of reach wherever the roots lie.
    pub own_dirs: Vec<PathBuf>,
    /// Threads that plan and run statements, and how many partitions of a table one query reads at once.
    pub threads: usize,
    /// Rows per batch that queries aim at.
    pub batch_rows: usize,
    /// Steps that one WITH RECURSIVE may take; a query that needs more fails.
    pub max_recursions: u64,
    /// What `system.settings` shows to operators.
    pub settings: Vec<ShownSetting>,
}

/// What the server was set up with, without secrets.
#[derive(Debug, Clone)]
pub struct ShownSetting {
    pub name: &'static str,
    /// Empty where it is not set.
    pub value: String,
    pub description: &'static str,
}

impl Default for SqlOptions {
    fn default() -> Self {
        SqlOptions {
            memory_limit_bytes: 92 << 20,
            file_roots: Vec::new(),
            own_dirs: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, |threads| threads.get()),
            batch_rows: 8192,
            max_recursions: 100_000,
            settings: Vec::new(),
        }
    }
}
