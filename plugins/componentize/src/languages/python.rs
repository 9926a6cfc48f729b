//! Python: `componentize-py` puts the source, CPython and its library into a component.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Job;
use crate::error::{Error, Result};
use crate::tool;

pub(crate) const INSTALL: &str =
    "install Python 3.10 or later, then, in a virtual environment that is active: pip install componentize-py==0.25.1";

pub(super) fn compile(job: &Job<'_>) -> Result<Vec<u8>> {
    let places = [
        std::env::var_os("VIRTUAL_ENV").map(|dir| PathBuf::from(dir).join("bin")),
        Some(job.dir.join(".venv/bin")),
        tool::cache().map(|cache| cache.join("guests/python/bin")),
    ];
    let tool = tool::find("componentize-py", places)
        .ok_or_else(|| Error::Missing { tool: "componentize-py".to_owned(), install: INSTALL.to_owned() })?;
    let module = job.source.file_stem().unwrap_or_default();
    let component = job.target.join("component.wasm");
    let mut command = Command::new(tool);
    command
        .current_dir(job.dir)
        .arg("--wit-path")
        .arg(job.wit())
        .args(["--world", job.manifest.kind.world(), "componentize", "--stub-wasi", "--python-path", ".", "--output"])
        .arg(&component)
        .arg(module);
    tool::run(job.dir, "componentize-py", &mut command)?;
    fs::read(&component).map_err(Error::file(&component))
}
