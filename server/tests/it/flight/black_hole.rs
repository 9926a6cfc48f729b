//! A wire whose end vanishes without closing it, as a machine that loses power does.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Passes connections on to an address until it swallows everything; what is open stays open.
pub(super) struct BlackHole {
    listener: SocketAddr,
    swallows: Arc<AtomicBool>,
    /// Pieces of data that have come from the far end.
    heard: Arc<AtomicUsize>,
}

impl BlackHole {
    #[expect(clippy::disallowed_methods, reason = "it ends with the test, which fails where bytes do not pass")]
    pub(super) fn start(to: SocketAddr) -> BlackHole {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let hole =
            BlackHole { listener: listener.local_addr().unwrap(), swallows: Arc::default(), heard: Arc::default() };
        let (swallows, heard) = (Arc::clone(&hole.swallows), Arc::clone(&hole.heard));
        std::thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let far = TcpStream::connect(to).unwrap();
                let ends =
                    [(near.try_clone(), far.try_clone(), Arc::default()), (Ok(far), Ok(near), Arc::clone(&heard))];
                for (from, into, count) in ends {
                    let (from, into, swallows) = (from.unwrap(), into.unwrap(), Arc::clone(&swallows));
                    std::thread::spawn(move || pass(from, into, &swallows, &count));
                }
            }
        });
        hole
    }

    pub(super) fn address(&self) -> String {
        self.listener.to_string()
    }

    /// How often the far end has been heard.
    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::SeqCst)
    }

    pub(super) fn swallow(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }
}

fn pass(mut from: TcpStream, mut into: TcpStream, swallows: &AtomicBool, passed: &AtomicUsize) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count) = from.read(&mut buffer) {
        if count == 0 {
            break;
        }
        passed.fetch_add(1, Ordering::SeqCst);
        if !swallows.load(Ordering::SeqCst) && into.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = into.shutdown(Shutdown::Both);
}
