//! Makes Rust types and a service of RocketMQ's protocol over gRPC, which is written down in `proto/`.

#![allow(clippy::print_stdout, reason = "it is how a build script talks to cargo")]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["rocketmq.v2.proto"], ["proto"])?;
    // The client is for tests, which include what is made here.
    tonic_prost_build::configure()
        .bytes(".apache.rocketmq.v2.Message.body")
        .btree_map(".apache.rocketmq.v2.Message.user_properties")
        .client_mod_attribute(".", "#[cfg(test)]")
        .compile_fds(files)?;
    Ok(())
}
