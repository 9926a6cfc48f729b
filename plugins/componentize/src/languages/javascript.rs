//! JavaScript: `componentize-qjs` puts the source and a QuickJS interpreter into a component.

use std::fs;
use std::process::Command;

use super::Job;
use crate::error::{Error, Result};
use crate::tool;

pub(crate) const INSTALL: &str = "install Node.js 18 or later (on Debian: apt-get install nodejs npm), then, in the project or with \
                                  --global anywhere: npm install componentize-qjs@0.4.5";

pub(super) fn compile(job: &Job<'_>) -> Result<Vec<u8>> {
    let missing = |tool: &str| Error::Missing { tool: tool.to_owned(), install: INSTALL.to_owned() };
    tool::on_path("node").ok_or_else(|| missing("node"))?;
    let places = [
        Some(job.dir.join("node_modules/.bin")),
        tool::cache().map(|cache| cache.join("guests/javascript/node_modules/.bin")),
    ];
    let tool = tool::find("componentize-qjs", places).ok_or_else(|| missing("componentize-qjs"))?;
    let component = job.target.join("component.wasm");
    let mut command = Command::new(tool);
    command
        .current_dir(job.dir)
        .arg("--wit")
        .arg(job.wit())
        .args(["--world", job.manifest.kind.world(), "--js"])
        .arg(job.source)
        .args(["--module-root", ".", "--sync", "--stub-wasi", "--opt-size", "--output"])
        .arg(&component);
    tool::run(job.dir, "componentize-qjs", &mut command)?;
    fs::read(&component).map_err(Error::file(&component))
}
