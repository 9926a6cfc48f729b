//! From source to a component: what `millstream plugin new` makes, built by `millstream plugin build`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::report::Figure;
use crate::{Result, Scale, process, store};

/// Figures `plugin_rust_size`, `plugin_rust_build_cold`, `plugin_rust_build_warm`.
pub(crate) fn run(_scale: Scale) -> Result<Vec<Figure>> {
    let size = std::fs::metadata(store::guest("late_departures")?)?.len();
    let dir = tempfile::tempdir()?;
    millstream(dir.path(), &["plugin", "new", "late"])?;
    let project = dir.path().join("late");
    let build = || -> Result<f64> {
        let start = Instant::now();
        millstream(&project, &["plugin", "build"])?;
        Ok(start.elapsed().as_secs_f64())
    };
    let cold = build()?;
    let source = project.join("src/lib.rs");
    let changed = std::fs::read_to_string(&source)?.replace("\"60\"", "\"90\"");
    std::fs::write(&source, changed)?;
    let warm = build()?;
    Ok(vec![
        Figure::reported("plugin_rust_size", size as f64 / 1e3, "kB", "the example late-departures, a component")
            .value_at_most(300.0),
        Figure::reported(
            "plugin_rust_build_cold",
            cold,
            "s",
            "`millstream plugin build` of a new project, nothing compiled before; Debian's compiler also builds the standard \
             library, rustup's has it",
        ),
        Figure::reported("plugin_rust_build_warm", warm, "s", "the same after a change of its source"),
    ])
}

fn millstream(dir: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(process::binary()?);
    let output = command.current_dir(dir).args(arguments).env_remove("CARGO_TARGET_DIR").output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("millstream {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)).into())
}
