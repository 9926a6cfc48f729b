//! C: clang makes a core module, and the contract is added to it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Job;
use crate::component;
use crate::error::{Error, Result};
use crate::tool;

pub(crate) const INSTALL: &str = "on Debian: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32; elsewhere unpack the WASI SDK \
                                  (github.com/WebAssembly/wasi-sdk) and set WASI_SDK_PATH to its directory";

pub(super) fn compile(job: &Job<'_>) -> Result<Vec<u8>> {
    let sdk = std::env::var_os("WASI_SDK_PATH").map(|dir| PathBuf::from(dir).join("bin"));
    let clang = tool::find("clang", [sdk])
        .ok_or_else(|| Error::Missing { tool: "clang".to_owned(), install: INSTALL.to_owned() })?;
    let module = job.target.join("module.wasm");
    let mut command = Command::new(clang);
    command
        .current_dir(job.dir)
        .args(["--target=wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-O3", "-std=c17", "-Wall", "-Wextra"])
        .args(["-Wl,--strip-debug", "-I.", "-o"])
        .arg(&module)
        .arg(job.source)
        .arg("-lm");
    tool::run(job.dir, "clang", &mut command).map_err(with_hint)?;
    let bytes = fs::read(&module).map_err(Error::file(&module))?;
    component::componentize_as(bytes, &job.wit(), job.manifest.kind).map_err(|reason| {
        let hint = if reason.contains("wasi_snapshot_preview1") {
            "; a plugin has no files, no standard output, no clock and no environment: use none of the C library that needs them"
        } else {
            ""
        };
        Error::NotAGuest { path: job.dir.join(job.source), reason: format!("{reason}{hint}") }
    })
}

/// A clang that can't compile for Wasm says so in many ways.
fn with_hint(error: Error) -> Error {
    const INCOMPLETE: [&str; 5] =
        ["No available targets", "file not found", "unable to execute command", "wasm-ld", "cannot open"];
    match error {
        Error::Failed { project, tool, text } if INCOMPLETE.iter().any(|sign| text.contains(sign)) => {
            let text = format!("{}\n(if that is the toolchain's: {INSTALL})", text.trim_end());
            Error::Failed { project, tool, text }
        }
        other => other,
    }
}
