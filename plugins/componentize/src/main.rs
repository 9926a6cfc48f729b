//! `millstream-componentize --out DIR --target DIR PROJECT...`: what `scripts/build-guests` runs. It is
//! `millstream plugin build` without the server.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use millstream_componentize::{BuildOptions, Project, build};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [out_flag, out, target_flag, target, projects @ ..] = &arguments[..] else { return usage() };
    if out_flag != Path::new("--out") || target_flag != Path::new("--target") || projects.is_empty() {
        return usage();
    }
    let options = BuildOptions { out: out.clone(), target: target.clone() };
    for dir in projects {
        match Project::open(dir).and_then(|project| build(&project, &options)) {
            Ok(components) => {
                for built in components.iter().filter(|built| built.is_new) {
                    eprintln!("build-guests: {}, {} bytes", built.component.display(), built.bytes);
                }
            }
            Err(error) => {
                eprintln!("build-guests: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: millstream-componentize --out DIR --target DIR PROJECT...");
    ExitCode::from(2)
}
