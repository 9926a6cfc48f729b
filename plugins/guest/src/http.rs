//! Requests over HTTP, of [`crate::Consumer`]s and [`crate::CheckbackHandler`]s that ask for [`crate::Capability::Http`].
//!
//! A request is not part of what a call commits: a call that is made again, after a crash too, sends it again. Give the
//! receiver a key by which it knows a repeat; topic, partition and offset of a row stay the same.

use std::fmt;

use crate::bindings::consumer::millstream::plugin::http;

/// A request to a host that was declared and granted. Redirections are not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    timeout_ms: u32,
}

/// What came back, of any status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpError {
    /// The host was not declared, or not granted, or stands for an address that plugins may not reach.
    Denied(String),
    /// It is no request that can be sent.
    Invalid(String),
    /// No connection, or no whole answer; later there may be one.
    Unreachable(String),
    /// Not in the request's time, or in what is left to the call.
    TimedOut,
    /// The request, or the answer.
    TooLarge,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Denied(why) | HttpError::Invalid(why) | HttpError::Unreachable(why) => f.write_str(why),
            HttpError::TimedOut => f.write_str("no answer in time"),
            HttpError::TooLarge => f.write_str("the request or its answer is too large"),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<HttpError> for String {
    fn from(error: HttpError) -> String {
        error.to_string()
    }
}

impl Request {
    pub fn new(method: &str, url: &str) -> Request {
        let (method, url) = (method.to_owned(), url.to_owned());
        Request { method, url, headers: Vec::new(), body: Vec::new(), timeout_ms: 0 }
    }

    pub fn get(url: &str) -> Request {
        Request::new("GET", url)
    }

    pub fn post(url: &str) -> Request {
        Request::new("POST", url)
    }

    /// At most 64, and 32 KiB together. `host`, `content-length` and what else is about the connection are the host's own.
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// At most 1 MiB.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Request {
        self.body = body.into();
        self
    }

    /// How long it may take; as long as the call may, if it is not said.
    pub fn timeout_ms(mut self, timeout_ms: u32) -> Request {
        self.timeout_ms = timeout_ms;
        self
    }

    /// Sends it, and waits for the whole answer.
    pub fn send(self) -> Result<Response, HttpError> {
        let Request { method, url, headers, body, timeout_ms } = self;
        let headers = headers.into_iter().map(|(name, value)| http::Header { name, value }).collect();
        let answer = http::send(&http::Request { method, url, headers, body, timeout_ms });
        let http::Response { status, headers, body } = answer.map_err(|error| match error {
            http::Error::Denied(why) => HttpError::Denied(why),
            http::Error::Invalid(why) => HttpError::Invalid(why),
            http::Error::Unreachable(why) => HttpError::Unreachable(why),
            http::Error::TimedOut => HttpError::TimedOut,
            http::Error::TooLarge => HttpError::TooLarge,
        })?;
        Ok(Response { status, headers: headers.into_iter().map(|header| (header.name, header.value)).collect(), body })
    }
}

impl Response {
    /// True for 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of a name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}
