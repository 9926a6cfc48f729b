//! Makes Rust types of the wire protocol, which is written down once, in `proto/`.

#![allow(clippy::print_stdout, reason = "it is how a build script talks to cargo")]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["millstream.v1.proto"], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(files)?;
    Ok(())
}
