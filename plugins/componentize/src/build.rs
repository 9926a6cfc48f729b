//! Source -> components.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::component;
use crate::embedded::{self, SUPPORT};
use crate::error::{Error, Result};
use crate::languages::{self, rust};
use crate::project::{Manifest, Project};

/// Where things go.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// The directory of the components.
    pub out: PathBuf,
    /// What compilers keep between builds.
    pub target: PathBuf,
}

/// A component that lies in the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its file.
    pub component: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// False when it was up to date before.
    pub is_new: bool,
}

/// Builds what the project makes: one component, or those of all cdylibs of a Cargo workspace.
pub fn build(project: &Project, options: &BuildOptions) -> Result<Vec<Built>> {
    fs::create_dir_all(&options.out).map_err(Error::file(&options.out))?;
    fs::create_dir_all(&options.target).map_err(Error::file(&options.target))?;
    // Compilers run in the project's directory.
    let target = options.target.canonicalize().map_err(Error::file(&options.target))?;
    let modules = match &project.manifest {
        Some(manifest) if !languages::is_rust(manifest) => {
            embedded::write(&project.dir, manifest)?;
            return Ok(vec![build_one(project, manifest, &options.out, &target)?]);
        }
        Some(manifest) => {
            embedded::write(&project.dir, manifest)?;
            rust::modules(&project.dir, &target)?
        }
        None => rust::modules(&project.dir, &target)?,
    };
    modules.iter().map(|module| from_module(module, &options.out)).collect()
}

/// The component of a module that Cargo has made.
fn from_module(module: &Path, out: &Path) -> Result<Built> {
    let component = out.join(module.file_name().unwrap_or_default());
    let bytes = fs::read(module).map_err(Error::file(module))?;
    let encoded = component::componentize(&bytes);
    let encoded = encoded.map_err(|reason| Error::NotAGuest { path: module.to_owned(), reason })?;
    let is_new = fs::read(&component).map_or(true, |found| found != encoded);
    if is_new {
        component::write(&component, &encoded)?;
    }
    built(component, is_new)
}

/// The component of a project that another compiler than Cargo makes, which is called only when something has changed.
fn build_one(project: &Project, manifest: &Manifest, out: &Path, target: &Path) -> Result<Built> {
    let component = out.join(format!("{}.wasm", manifest.name.replace('-', "_")));
    let is_new = !is_newer(&component, [newest(&project.dir)?, program()]);
    if is_new {
        // Compilers write in pieces; readers see the old file or the whole new one.
        let target = target.join(&manifest.name);
        fs::create_dir_all(&target).map_err(Error::file(&target))?;
        let encoded = languages::compile(project, manifest, &target)?;
        component::write(&component, &encoded)?;
    }
    built(component, is_new)
}

fn built(component: PathBuf, is_new: bool) -> Result<Built> {
    let bytes = fs::metadata(&component).map_err(Error::file(&component))?.len();
    Ok(Built { component, bytes, is_new })
}

/// True when the file is there and newer than all else.
fn is_newer(file: &Path, others: [Option<SystemTime>; 2]) -> bool {
    let made = modified(file);
    made.is_some() && others.iter().all(|other| other.is_some() && *other < made)
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// When this program was built: it decides on the helpers, and on how compilers are called.
fn program() -> Option<SystemTime> {
    std::env::current_exe().ok().and_then(|exe| modified(&exe))
}

/// When a file of the project was last changed; what builds and tests leave behind is not looked at.
fn newest(dir: &Path) -> Result<Option<SystemTime>> {
    let mut newest = None;
    for entry in fs::read_dir(dir).map_err(Error::file(dir))? {
        let entry = entry.map_err(Error::file(dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_source = !name.starts_with('.')
            && !name.ends_with(".wasm")
            && ![SUPPORT, "target", "node_modules", "tests", "__pycache__"].contains(&&*name);
        if is_source {
            let kind = entry.file_type().map_err(Error::file(dir))?;
            let changed = if kind.is_dir() { self::newest(&entry.path())? } else { modified(&entry.path()) };
            newest = newest.max(changed);
        }
    }
    Ok(newest)
}
