//! HTTP/2's frames, as they pass.

/// The largest that a peer may send. A call that waits for room has one frame in its hands.
pub(super) const MAX_FRAME_BYTES: u32 = 32 << 10;
/// Bytes of a frame's head.
const HEAD_BYTES: usize = 9;
/// What an HTTP/2 connection begins with.
pub(super) const PREFACE_BYTES: usize = 24;
/// The type of the frames that carry bodies.
const DATA: u8 = 0;

/// Follows the frames of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Of the preface, how much has passed.
    preface: usize,
    head: Vec<u8>,
    /// Of the frame that is passing: whether it is of a body, what of it has passed, unless it is of a body, and what is to come.
    is_data: bool,
    pub(super) partial: usize,
    left: usize,
}

impl Frames {
    /// How many of these bytes belong to bodies.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> usize {
        let mut data = 0;
        let preface = (PREFACE_BYTES - self.preface).min(bytes.len());
        self.preface += preface;
        bytes = &bytes[preface..];
        while !bytes.is_empty() {
            if self.left == 0 {
                let missing = (HEAD_BYTES - self.head.len()).min(bytes.len());
                self.head.extend_from_slice(&bytes[..missing]);
                bytes = &bytes[missing..];
                let [a, b, c, kind, ..] = self.head[..] else { break };
                if self.head.len() < HEAD_BYTES {
                    break;
                }
                self.head.clear();
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                (self.is_data, self.partial) = (kind == DATA, 0);
                continue;
            }
            let passing = self.left.min(bytes.len());
            self.left -= passing;
            bytes = &bytes[passing..];
            if self.is_data {
                data += passing;
            } else {
                self.partial = if self.left == 0 { 0 } else { self.partial + passing };
            }
        }
        data
    }
}

#[cfg(test)]
pub(super) fn frame(kind: u8, len: usize) -> Vec<u8> {
    let head = [&u32::try_from(len).unwrap().to_be_bytes()[1..], &[kind, 0, 0, 0, 0, 1]].concat();
    [head, vec![7; len]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_followed_however_they_come() {
        let sent = [
            vec![b'P'; PREFACE_BYTES],
            frame(4, 6),
            frame(1, 40),
            frame(0, 300),
            frame(6, 8),
            frame(0, 0),
            frame(0, 5),
        ];
        let sent = sent.concat();
        for piece in [1, 2, 7, 9, 100, sent.len()] {
            let mut frames = Frames::default();
            assert_eq!(sent.chunks(piece).map(|piece| frames.follow(piece)).sum::<usize>(), 305, "{piece}");
            assert_eq!((frames.partial, frames.left), (0, 0));
        }
        let mut frames = Frames::default();
        assert_eq!(frames.follow(&sent[..PREFACE_BYTES + 15 + 9 + 30]), 0);
        assert_eq!((frames.partial, frames.left), (30, 10), "half of the head of a request");
    }
}
