//! The XML that is spoken here: a root, and elements with texts within.

use quick_xml::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

const NAMESPACE: &str = "http://mq.aliyuncs.com/doc/v1";

/// The elements right below the root, in their order: names and texts. Texts are as they were written: spaces and the ends of lines are
/// kept.
pub(super) fn texts(xml: &str, root: &str) -> Result<Vec<(String, String)>, String> {
    let mut reader = Reader::from_str(xml);
    let mut found: Vec<(String, String)> = Vec::new();
    // Elements that are open.
    let (mut depth, mut seen) = (0_usize, false);
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        match event {
            Event::Start(start) => {
                match depth {
                    0 => begin(&start, root, &mut seen)?,
                    1 => found.push((name(&start)?, String::new())),
                    _ => return Err(format!("<{}> lies within another element", name(&start)?)),
                }
                depth += 1;
            }
            Event::Empty(empty) => match depth {
                0 => begin(&empty, root, &mut seen)?,
                1 => found.push((name(&empty)?, String::new())),
                _ => return Err(format!("<{}> lies within another element", name(&empty)?)),
            },
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(text) => add(&mut found, depth, &text.decode().map_err(|error| error.to_string())?)?,
            Event::CData(text) => add(&mut found, depth, &text.decode().map_err(|error| error.to_string())?)?,
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                    Some(character) => character.to_string(),
                    None => {
                        let name = reference.decode().map_err(|error| error.to_string())?;
                        let text = escape::resolve_xml_entity(&name);
                        text.ok_or_else(|| format!("there is no entity &{name};"))?.to_owned()
                    }
                };
                add(&mut found, depth, &text)?;
            }
            Event::DocType(_) => return Err("it has a document type".to_owned()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof if depth > 0 => return Err("it ends within an element".to_owned()),
            Event::Eof if !seen => return Err(format!("there is no <{root}>")),
            Event::Eof => return Ok(found),
        }
    }
}

fn begin(start: &BytesStart<'_>, root: &str, seen: &mut bool) -> Result<(), String> {
    let found = name(start)?;
    if found != root || *seen {
        return Err(format!("<{found}> stands where one <{root}> is to be"));
    }
    *seen = true;
    Ok(())
}

fn name(start: &BytesStart<'_>) -> Result<String, String> {
    let name = start.local_name();
    std::str::from_utf8(name.as_ref()).map(str::to_owned).map_err(|error| error.to_string())
}

fn add(found: &mut [(String, String)], depth: usize, text: &str) -> Result<(), String> {
    match (depth, found.last_mut()) {
        (2, Some((_, whole))) => whole.push_str(text),
        _ if text.trim().is_empty() => {}
        _ => return Err("a text stands outside of the elements that have one".to_owned()),
    }
    Ok(())
}

/// Whether a text can be written in XML 1.0 at all.
pub(super) fn is_writable(text: &str) -> bool {
    text.chars().all(|c| match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        c => c >= ' ',
    })
}

/// A document that is being written.
pub(super) struct Writer {
    text: String,
    root: &'static str,
}

impl Writer {
    pub(super) fn begin(root: &'static str) -> Writer {
        let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{root} xmlns=\"{NAMESPACE}\">");
        Writer { text, root }
    }

    /// An element. What XML can't hold is left out of its text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Writer {
        self.open(name);
        let kept: String;
        let text = if is_writable(text) {
            text
        } else {
            kept = text.chars().filter(|c| is_writable(c.encode_utf8(&mut [0; 4]))).collect();
            &kept
        };
        // Readers take a bare one for the end of a line.
        self.text.push_str(&escape::escape(text).replace('\r', "&#13;"));
        self.close(name)
    }

    pub(super) fn open(&mut self, name: &str) -> &mut Writer {
        self.text.extend(["<", name, ">"]);
        self
    }

    pub(super) fn close(&mut self, name: &str) -> &mut Writer {
        self.text.extend(["</", name, ">"]);
        self
    }

    pub(super) fn end(mut self) -> String {
        self.close(self.root);
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;

    const MESSAGE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Message xmlns=\"http://mq.aliyuncs.com/doc/v1/\">\n\
        <MessageBody> a &amp;&lt;b&#x41;&#13;\r\n<![CDATA[<c>&amp;]]> </MessageBody>\n <MessageTag/><Properties></Properties></Message>";

    #[test]
    fn texts_are_as_they_were_written() {
        let found = texts(MESSAGE, "Message").unwrap();
        let found: Vec<_> = found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let body = " a &<bA\r\r\n<c>&amp; ";
        assert_eq!(found, [("MessageBody", body), ("MessageTag", ""), ("Properties", "")]);
        for (wrong, why) in [
            ("", "no <Message>"),
            ("<Message/><Message/>", "where one <Message>"),
            ("<Other/>", "where one <Message>"),
            ("<Message><a><b/></a></Message>", "within another"),
            ("<Message>x</Message>", "outside"),
            ("<Message><a>", "ends within"),
            ("<Message><a></b></Message>", "a"),
            ("<Message><a>&what;</a></Message>", "no entity &what;"),
            ("<!DOCTYPE m [<!ENTITY x \"y\">]><Message/>", "document type"),
        ] {
            let refused = texts(wrong, "Message").unwrap_err();
            assert!(refused.contains(why), "{wrong}: {refused}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut xml = Writer::begin("Message");
        let odd = " <a href='x'>\"&amp;\" ]]> \r\n\t\u{1F600} ";
        xml.text("MessageBody", odd).text("MessageTag", "a\u{0}b");
        let read = texts(&xml.end(), "Message").unwrap();
        assert_eq!(read, [("MessageBody".to_owned(), odd.to_owned()), ("MessageTag".to_owned(), "ab".to_owned())]);
        assert!(is_writable(odd) && !is_writable("\u{1}") && !is_writable("\u{FFFF}"));
    }

    #[test]
    fn mutated_documents_are_read_or_refused() {
        fuzz(MESSAGE.as_bytes(), &["<", ">", "&", "&#0;", "&#x110000;", "]]>", "<!--", "é", "\u{0}"], |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| texts(text, "Message").is_ok())
        });
    }
}
