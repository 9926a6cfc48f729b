//! `millstream-componentize MODULE.wasm COMPONENT.wasm`

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs, process};

use millstream_componentize::componentize;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [module, component] = &arguments[..] else {
        eprintln!("usage: millstream-componentize MODULE.wasm COMPONENT.wasm");
        return ExitCode::from(2);
    };
    match convert(Path::new(module), Path::new(component)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("millstream-componentize: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Readers of `component` see the old file or the whole new one.
fn convert(module: &Path, component: &Path) -> Result<(), String> {
    let bytes = fs::read(module).map_err(|e| format!("{}: {e}", module.display()))?;
    let encoded = componentize(&bytes).map_err(|e| format!("{}: {e}", module.display()))?;
    let temporary = component.with_extension(format!("{}.tmp", process::id()));
    fs::write(&temporary, encoded)
        .and_then(|()| fs::rename(&temporary, component))
        .map_err(|e| format!("{}: {e}", component.display()))
}
