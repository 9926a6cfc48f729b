//! Rust: Cargo makes core modules that carry the contract. The standard library for Wasm comes with rustup's target, or is
//! built from source by Debian's compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::tool;

pub(crate) const INSTALL: &str = "install Rust from https://rustup.rs and run: rustup target add wasm32-unknown-unknown \
                                  (or, on Debian: apt-get install rustc-web cargo-web rust-web-src lld)";

const TRIPLE: &str = "wasm32-unknown-unknown";
const FLAGS: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS";
const LINKER: &str = "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER";

/// Compiles the package or workspace in `dir`; gives the modules of its cdylibs.
pub(crate) fn modules(dir: &Path, target: &Path) -> Result<Vec<PathBuf>> {
    let cargo = Cargo::find(dir, target)?;
    let mut build = cargo.command(dir, "build");
    build.args(cargo.arguments).args(["--quiet", "--workspace", "--release", "--target", TRIPLE]);
    tool::run(dir, "cargo", &mut build)?;
    let names = cargo.cdylibs(dir)?;
    if names.is_empty() {
        return Err(Error::project(dir, "no package has crate-type = [\"cdylib\"], which is what becomes a plugin"));
    }
    let release = target.join(TRIPLE).join("release");
    Ok(names.into_iter().map(|name| release.join(name).with_extension("wasm")).collect())
}

/// A Cargo that can compile for Wasm.
struct Cargo {
    program: PathBuf,
    target: PathBuf,
    arguments: &'static [&'static str],
    environment: Vec<(&'static str, String)>,
}

impl Cargo {
    fn find(dir: &Path, target: &Path) -> Result<Cargo> {
        let flags =
            std::env::var("MILLSTREAM_GUEST_RUSTFLAGS").unwrap_or_else(|_| "-Ctarget-feature=+simd128".to_owned());
        let mut environment = vec![(FLAGS, flags)];
        let sysroot = match tool::on_path("rustc") {
            Some(rustc) => tool::run(dir, "rustc", Command::new(rustc).args(["--print", "sysroot"]))?,
            None => String::new(),
        };
        let sysroot = Path::new(sysroot.trim());
        if let (true, Some(program)) = (sysroot.join("lib/rustlib").join(TRIPLE).is_dir(), tool::on_path("cargo")) {
            return Ok(Cargo { program, target: target.to_owned(), arguments: &[], environment });
        }
        let (rustc, program) = (Path::new("/usr/bin/rustc"), PathBuf::from("/usr/bin/cargo"));
        let library = Path::new("/usr/lib/rustlib/src/rust/library/std/src/lib.rs");
        let missing = || Error::Missing { tool: format!("a compiler for {TRIPLE}"), install: INSTALL.to_owned() };
        if !(tool::is_program(rustc) && tool::is_program(&program) && library.exists()) {
            return Err(missing());
        }
        environment.extend([
            (LINKER, linker(sysroot).ok_or_else(missing)?.display().to_string()),
            ("RUSTC", rustc.display().to_string()),
            // Building the standard library is not a stable feature.
            ("RUSTC_BOOTSTRAP", "1".to_owned()),
        ]);
        let arguments = &["-Zbuild-std=std,panic_abort"];
        Ok(Cargo { program, target: target.to_owned(), arguments, environment })
    }

    fn command(&self, dir: &Path, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(dir).arg(subcommand).env("CARGO_TARGET_DIR", &self.target);
        // What is meant for programs of this machine.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let (true, "build") =
            (dir.join("Cargo.lock").exists() && !dir.join(crate::project::MANIFEST).exists(), subcommand)
        {
            command.arg("--locked");
        }
        command
    }

    /// The cdylibs of the package or workspace, as `cargo metadata` names them.
    fn cdylibs(&self, dir: &Path) -> Result<Vec<String>> {
        let mut metadata = self.command(dir, "metadata");
        metadata.args(["--format-version", "1", "--no-deps", "--offline"]);
        let text = tool::run(dir, "cargo", &mut metadata)?;
        Ok(cdylibs_of(&text))
    }
}

fn linker(sysroot: &Path) -> Option<PathBuf> {
    let of_rustup = std::fs::read_dir(sysroot.join("lib/rustlib")).ok();
    let bundled = of_rustup.into_iter().flatten().flatten().map(|host| host.path().join("bin/rust-lld"));
    bundled
        .into_iter()
        .find(|file| tool::is_program(file))
        .or_else(|| ["rust-lld", "wasm-ld", "lld"].iter().find_map(|name| tool::on_path(name)))
}

/// The names of targets of that one type.
fn cdylibs_of(metadata: &str) -> Vec<String> {
    let metadata: serde_json::Value = serde_json::from_str(metadata).unwrap_or_default();
    let list =
        |value: &serde_json::Value, key: &str| value.get(key).and_then(|v| v.as_array()).cloned().unwrap_or_default();
    let targets = list(&metadata, "packages").into_iter().flat_map(|package| list(&package, "targets"));
    targets
        .filter(|target| target.get("crate_types") == Some(&serde_json::json!(["cdylib"])))
        .filter_map(|target| Some(target.get("name")?.as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_the_cdylibs() {
        let metadata = r#"{"packages": [{"targets": [{"crate_types": ["lib"], "name": "a"}]},
            {"targets": [{"crate_types": ["cdylib"], "name": "late_departures"}]}]}"#;
        assert_eq!(cdylibs_of(metadata), ["late_departures"]);
        assert!(cdylibs_of("{}").is_empty());
    }
}
