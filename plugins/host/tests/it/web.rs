//! A server of HTTP that does as a test says, on a port of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

/// Ends with the process: its thread waits for connections that don't come any more.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Web {
    /// `answer` is given the number of each connection, from 0, once its first request was read whole.
    #[expect(clippy::disallowed_methods, reason = "it ends with the test, which fails where nothing is answered")]
    pub(crate) fn start(answer: impl Fn(usize, &mut TcpStream) + Send + Sync + 'static) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let web = Web { address, seen: seen.clone(), connections: connections.clone() };
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (answer, seen) = (answer.clone(), seen.clone());
                thread::spawn(move || {
                    let mut stream = stream;
                    let request = read(&mut stream);
                    seen.lock().push(request);
                    answer(number, &mut stream);
                });
            }
        });
        web
    }

    /// Answers with a status line and a body.
    pub(crate) fn saying(status: &'static str, body: &'static str) -> Web {
        Web::start(move |_, stream| say(stream, &answer(status, "", body)))
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests that came, head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A whole answer; `headers` end their lines themselves.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Whoever asked may have gone.
pub(crate) fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

/// A head, and as much of a body as it says.
fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length = text.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if head.is_some_and(|head| bytes.len() >= head + length.unwrap_or(0_usize)) {
            return text;
        }
        match stream.read(&mut part) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&part[..read]),
            _ => return text,
        }
    }
}
