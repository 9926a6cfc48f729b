//! What the machine can do, measured beside every figure that is compared with it.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

/// Bytes per second of append + fdatasync at this commit size, for about `time`.
pub(crate) fn disk(dir: &Path, commit_bytes: usize, time: Duration) -> Result<f64> {
    let path = dir.join("limit.disk");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = random_bytes(commit_bytes.max(1));
    let start = Instant::now();
    let mut written = 0_u64;
    while start.elapsed() < time {
        file.write_all(&block)?;
        file.sync_data()?;
        written += block.len() as u64;
    }
    let rate = written as f64 / start.elapsed().as_secs_f64();
    drop(file);
    std::fs::remove_file(path)?;
    Ok(rate)
}

/// Seconds that each of `count` appends of 4 KiB with fdatasync took.
pub(crate) fn fsync_times(dir: &Path, count: usize) -> Result<Vec<f64>> {
    let path = dir.join("limit.fsync");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let block = random_bytes(4096);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64());
    }
    std::fs::remove_file(path)?;
    Ok(times)
}

/// Bytes per second through one loopback TCP connection, for about `time`.
#[expect(clippy::disallowed_methods, reason = "it is joined")]
pub(crate) fn loopback(time: Duration) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let receiver = std::thread::spawn(move || -> std::io::Result<(u64, Duration)> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0_u8; 1 << 20];
        let start = Instant::now();
        let mut received = 0_u64;
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok((received, start.elapsed())),
                count => received += count as u64,
            }
        }
    });
    let mut stream = TcpStream::connect(address)?;
    let block = random_bytes(1 << 20);
    let start = Instant::now();
    while start.elapsed() < time {
        stream.write_all(&block)?;
    }
    drop(stream);
    let (received, elapsed) = receiver.join().map_err(|_| "the receiving thread panicked")??;
    Ok(received as f64 / elapsed.as_secs_f64())
}

/// Bytes that no disk or file system compresses.
pub(crate) fn random_bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(count);
    bytes
}
