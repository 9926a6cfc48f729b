//! Requests and answers: `header form << 24 | header length`, header, body. The header is JSON or binary; answers have the form
//! of their request, which every client reads.

use bytes::{BufMut, Bytes, BytesMut};

use super::field_texts::FieldTexts;
use super::json_header::{self, JsonHeader};
use super::reader::{Malformed, Reader};

/// The longest message, without the four bytes before it.
pub(crate) const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// The longest header: all fields of a send, with the properties of its message (32 KiB).
const MAX_HEADER_BYTES: usize = 256 << 10;
/// Set in answers, and in requests that want none.
const ANSWER: i32 = 1;
const ONE_WAY: i32 = 2;
/// 4.9.8. Java clients refuse SQL filters to servers below 4.1.0 (232), which they learn from heartbeats.
pub(crate) const VERSION: i32 = 409;
/// As every client knows it, whatever its release.
pub(super) const LANGUAGE: &str = "OTHER";
const LANGUAGE_NUMBER: u8 = 7;

/// How a header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderForm {
    Json,
    Binary,
}

/// A request, or a client's answer to one of ours.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) form: HeaderForm,
    pub(crate) code: i32,
    pub(crate) language: String,
    pub(crate) version: i32,
    pub(crate) opaque: i32,
    pub(crate) flag: i32,
    /// Of an answer: what is wrong.
    pub(crate) remark: Option<String>,
    pub(crate) fields: FieldTexts,
    pub(crate) body: Bytes,
}

/// What is sent back: its header's part. The body follows it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Header {
    pub(crate) code: i32,
    pub(crate) opaque: i32,
    pub(crate) flag: i32,
    pub(crate) remark: Option<String>,
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl Command {
    /// Of a message without the four bytes before it.
    pub(crate) fn read(message: &Bytes) -> Result<Command, Malformed> {
        let mut reader = Reader::new("a request", message);
        let form_and_length = reader.i32()?;
        let length = usize::try_from(form_and_length & 0x00ff_ffff).unwrap_or(usize::MAX);
        if length > MAX_HEADER_BYTES {
            return Err(Malformed(format!("a header of {length} bytes; at most {MAX_HEADER_BYTES} are taken")));
        }
        let header = reader.take(length)?;
        let body = message.slice(4 + length..);
        match form_and_length >> 24 {
            0 => Command::from_json(header, body),
            1 => Command::from_binary(header, body),
            other => Err(Malformed(format!("header form {other} is neither JSON (0) nor binary (1)"))),
        }
    }

    fn from_json(header: &[u8], body: Bytes) -> Result<Command, Malformed> {
        let JsonHeader { code, language, version, opaque, flag, remark, fields } = json_header::read(header)?;
        let language = language.unwrap_or_default();
        Ok(Command { form: HeaderForm::Json, code, language, version, opaque, flag, remark, fields, body })
    }

    fn from_binary(header: &[u8], body: Bytes) -> Result<Command, Malformed> {
        let mut reader = Reader::new("a binary header", header);
        let code = reader.i16()?.into();
        let language = language(reader.u8()?);
        let version = reader.i16()?.into();
        let (opaque, flag) = (reader.i32()?, reader.i32()?);
        let remark = reader.long()?;
        let remark = (!remark.is_empty()).then(|| String::from_utf8_lossy(remark).into_owned());
        let mut fields = Vec::new();
        // Where there are none, their length may be missing too.
        if !reader.is_empty() {
            let mut pairs = Reader::new("a binary header's fields", reader.long()?);
            while !pairs.is_empty() {
                let (name, value) = (pairs.short()?, pairs.long()?);
                fields.push((pairs.text(name)?.to_owned(), pairs.text(value)?.to_owned()));
            }
        }
        let fields = FieldTexts::from(fields);
        Ok(Command { form: HeaderForm::Binary, code, language, version, opaque, flag, remark, fields, body })
    }

    /// Whether it answers a request of ours.
    pub(crate) fn is_answer(&self) -> bool {
        self.flag & ANSWER != 0
    }

    pub(crate) fn wants_no_answer(&self) -> bool {
        self.flag & ONE_WAY != 0
    }
}

impl Header {
    /// Of the answer to a request.
    pub(crate) fn answer(
        code: i32,
        opaque: i32,
        remark: Option<String>,
        fields: Vec<(&'static str, String)>,
    ) -> Header {
        Header { code, opaque, flag: ANSWER, remark, fields }
    }

    /// Of a request of ours that wants no answer.
    pub(crate) fn one_way(code: i32, opaque: i32, fields: Vec<(&'static str, String)>) -> Header {
        Header { code, opaque, flag: ONE_WAY, remark: None, fields }
    }

    /// The whole message, the four bytes before it included.
    pub(crate) fn write(&self, form: HeaderForm, body: &[u8]) -> Result<Bytes, Malformed> {
        let (number, header) = match form {
            HeaderForm::Json => (0, json_header::write(self)?),
            HeaderForm::Binary => (1, self.binary()?),
        };
        let length = count(4 + header.len() + body.len())?;
        let mut message = BytesMut::with_capacity(8 + header.len() + body.len());
        message.put_i32(length);
        message.put_i32(number << 24 | count(header.len())?);
        message.put_slice(&header);
        message.put_slice(body);
        Ok(message.freeze())
    }

    fn binary(&self) -> Result<Vec<u8>, Malformed> {
        let mut header = BytesMut::new();
        // Codes above 16 bits are cut, as Apache's servers cut them.
        header.put_i16(self.code as i16);
        header.put_u8(LANGUAGE_NUMBER);
        header.put_i16(VERSION as i16);
        header.put_i32(self.opaque);
        header.put_i32(self.flag);
        let remark = self.remark.as_deref().unwrap_or_default();
        header.put_i32(count(remark.len())?);
        header.put_slice(remark.as_bytes());
        let mut fields = BytesMut::new();
        for (name, value) in &self.fields {
            fields.put_i16(i16::try_from(name.len()).map_err(|_| Malformed::new("a field's name is too long"))?);
            fields.put_slice(name.as_bytes());
            fields.put_i32(count(value.len())?);
            fields.put_slice(value.as_bytes());
        }
        header.put_i32(count(fields.len())?);
        header.put_slice(&fields);
        Ok(header.to_vec())
    }
}

fn count(bytes: usize) -> Result<i32, Malformed> {
    i32::try_from(bytes).map_err(|_| Malformed(format!("{bytes} bytes are too many for a message")))
}

/// As Java's clients name them.
fn language(number: u8) -> String {
    let names =
        ["JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", LANGUAGE, "HTTP", "GO", "PHP", "OMS", "RUST"];
    names.get(usize::from(number)).copied().unwrap_or(LANGUAGE).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(form: u8, header: &[u8], body: &[u8]) -> Bytes {
        let mut message = vec![form, 0];
        message.extend(u16::try_from(header.len()).unwrap().to_be_bytes());
        message.extend_from_slice(header);
        message.extend_from_slice(body);
        Bytes::from(message)
    }

    /// As the clients in C++ and Node send it: numbers as such, no word about the form.
    #[test]
    fn headers_of_old_clients_are_read() {
        let header =
            br#"{"code":105,"extFields":{"queueId":0,"topic":"t","x":null},"flag":0,"language":"CPP","opaque":7}"#;
        let command = Command::read(&framed(0, header, b"body")).unwrap();
        assert_eq!((command.code, command.opaque, command.version), (105, 7, 0));
        assert_eq!((command.language.as_str(), &command.body[..]), ("CPP", &b"body"[..]));
        assert_eq!(command.fields.get("queueId"), Some("0"));
        assert_eq!(command.fields.iter().len(), 2);
        assert!(!command.is_answer() && !command.wants_no_answer());
    }

    #[test]
    fn what_is_written_is_read_in_both_forms() {
        for form in [HeaderForm::Json, HeaderForm::Binary] {
            let fields = vec![("topic", "t".to_owned()), ("properties", "a\u{1}b\u{2}".to_owned())];
            let header = Header::answer(19, -3, Some("nothing".to_owned()), fields);
            let message = header.write(form, b"12345").unwrap();
            assert_eq!(
                message.len(),
                4 + usize::try_from(i32::from_be_bytes(message[..4].try_into().unwrap())).unwrap()
            );
            let read = Command::read(&message.slice(4..)).unwrap();
            assert_eq!((read.form, read.code, read.opaque, read.version), (form, 19, -3, VERSION));
            assert_eq!((read.language.as_str(), &read.body[..]), ("OTHER", &b"12345"[..]));
            assert_eq!(read.fields.get("properties"), Some("a\u{1}b\u{2}"));
            assert!(read.is_answer());
            for cut in 0..message.len() - 4 - 5 {
                assert!(Command::read(&message.slice(4..4 + cut)).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn headers_that_are_none_are_refused() {
        let wrong = [framed(2, b"{}", b""), framed(0, b"{}", b""), framed(0, b"1", b""), framed(1, &[0; 12], b"")];
        for message in wrong {
            assert!(Command::read(&message).is_err(), "{message:?}");
        }
        let list = framed(0, br#"{"code":1,"extFields":{"a":[]}}"#, b"");
        assert!(Command::read(&list).unwrap_err().to_string().contains("a is no text"));
        let long = Bytes::from_static(&[0, 0xff, 0xff, 0xff]);
        assert!(Command::read(&long).unwrap_err().to_string().contains("at most"));
    }
}
