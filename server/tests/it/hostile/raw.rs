//! A client that knows no more of HTTP/2 than it takes to do it badly.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use arrow_flight::FlightData;
use prost::Message;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// The largest frame that may be sent without having asked.
const FRAME_BYTES: usize = 16 << 10;
const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// One connection, whose call is stream 1.
pub(super) struct Raw(pub(super) TcpStream);

impl Raw {
    /// Connects, and lets the server send as much as it likes.
    pub(super) fn connect(server: SocketAddr) -> io::Result<Raw> {
        let mut raw = Raw(TcpStream::connect(server)?);
        raw.0.set_write_timeout(Some(Duration::from_secs(2)))?;
        raw.0.set_read_timeout(Some(Duration::from_secs(60)))?;
        raw.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        // SETTINGS_INITIAL_WINDOW_SIZE.
        let window = [&[0, 4][..], &LARGEST_WINDOW.to_be_bytes()].concat();
        raw.frame(SETTINGS, 0, 0, &window)?;
        raw.frame(SETTINGS, ACK, 0, &[])?;
        raw.frame(WINDOW_UPDATE, 0, 0, &(LARGEST_WINDOW - 65_535).to_be_bytes())?;
        Ok(raw)
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat())
    }

    /// Begins a call of the Flight service.
    pub(super) fn call(&mut self, method: &str) -> io::Result<()> {
        let path = format!("/arrow.flight.protocol.FlightService/{method}");
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        // POST and http are in HPACK's table, and so are the names :path, :authority and content-type.
        let head = [
            vec![0x83, 0x86, 0x04],
            text(&path),
            vec![0x01],
            text("localhost"),
            vec![0x0f, 0x10],
            text("application/grpc"),
            vec![0x00],
            text("te"),
            text("trailers"),
        ];
        self.frame(HEADERS, END_HEADERS, 1, &head.concat())
    }

    /// Sends bytes of the call's body.
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(FRAME_BYTES).try_for_each(|chunk| self.frame(DATA, 0, 1, chunk))
    }

    /// Says that there is no more of it.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.frame(DATA, END_STREAM, 1, &[])
    }

    /// Reads until the call is over, whether by its end, by a reset or by that of the connection; false if it is not in time.
    pub(super) fn ends_within(&mut self, limit: Duration) -> bool {
        const RST_STREAM: u8 = 3;
        let deadline = Instant::now() + limit;
        self.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut bytes = Vec::new();
        while Instant::now() < deadline {
            let mut part = [0; 4096];
            match self.0.read(&mut part) {
                Ok(0) => return true,
                Ok(read) => bytes.extend_from_slice(&part[..read]),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => continue,
                Err(_) => return true,
            }
            while let Some(head) = bytes.first_chunk::<9>() {
                let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                let (kind, flags, stream) = (head[3], head[4], head[8]);
                if bytes.len() < 9 + length {
                    break;
                }
                bytes.drain(..9 + length);
                let last = kind == RST_STREAM || (matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0);
                if stream == 1 && last {
                    return true;
                }
            }
        }
        false
    }
}

/// A message as gRPC frames it.
pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    [&[0], &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

/// The first `bytes` of a message of rows that is said to have `len`.
pub(super) fn half(len: u32, bytes: usize) -> Vec<u8> {
    let body = FlightData::new().with_data_body(vec![7; bytes]).encode_to_vec();
    [&[0], &len.to_be_bytes()[..], &body[..bytes]].concat()
}
