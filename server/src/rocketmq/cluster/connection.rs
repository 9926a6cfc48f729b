//! A connection on which one request after the other is answered.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::super::signature::AccessKey;
use super::super::wire::codes;
use super::super::wire::command::{Command, Header, HeaderForm};
use super::super::wire::reader::Malformed;

/// A broker with very many topics names them all in one answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// How long an answer is waited for, and a connection.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is asked changes nothing, so that it can be asked again.
const ATTEMPTS: u32 = 4;
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Why a cluster did not say what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClusterError {
    #[error("{address} of the RocketMQ cluster can't be reached: {why}")]
    Unreachable { address: String, why: String },
    #[error("{address} of the RocketMQ cluster refuses {request} with {code}: {remark}")]
    Refused { address: String, request: String, code: i32, remark: String },
    #[error("{address} of the RocketMQ cluster answers what can't be read: {why}")]
    Malformed { address: String, why: Malformed },
}

pub(super) struct Connection {
    address: String,
    /// What requests are signed with, where the cluster wants that.
    key: Option<AccessKey>,
    stream: Option<TcpStream>,
    opaque: i32,
}

impl Connection {
    pub(super) fn new(address: &str, key: Option<&AccessKey>) -> Connection {
        Connection { address: address.to_owned(), key: key.cloned(), stream: None, opaque: 0 }
    }

    /// Another to the same address.
    pub(super) fn another(&self) -> Connection {
        Connection::new(&self.address, self.key.as_ref())
    }

    pub(super) fn wrong(&self, why: Malformed) -> ClusterError {
        ClusterError::Malformed { address: self.address.clone(), why }
    }

    /// The answer to a request, if it says that it was carried out.
    pub(super) async fn ask(&mut self, code: i32, fields: &[(&'static str, String)]) -> Result<Command, ClusterError> {
        let answer = self.answer(code, fields).await?;
        match answer.code {
            codes::SUCCESS => Ok(answer),
            _ => Err(self.refused(code, answer)),
        }
    }

    pub(super) fn refused(&self, code: i32, answer: Command) -> ClusterError {
        ClusterError::Refused {
            address: self.address.clone(),
            request: codes::name(code),
            code: answer.code,
            remark: answer.remark.unwrap_or_default(),
        }
    }

    /// The answer to a request, whatever it says. Where the connection breaks it is asked again over another.
    pub(super) async fn answer(
        &mut self,
        code: i32,
        fields: &[(&'static str, String)],
    ) -> Result<Command, ClusterError> {
        let mut attempt = 1;
        loop {
            let broken = match timeout(PATIENCE, self.exchange(code, fields)).await {
                Ok(Ok(answer)) => return answer.map_err(|why| self.wrong(why)),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
            };
            self.stream = None;
            if attempt == ATTEMPTS {
                return Err(ClusterError::Unreachable { address: self.address.clone(), why: broken });
            }
            attempt += 1;
            sleep(BETWEEN_ATTEMPTS).await;
        }
    }

    async fn exchange(
        &mut self,
        code: i32,
        fields: &[(&'static str, String)],
    ) -> io::Result<Result<Command, Malformed>> {
        self.opaque = self.opaque.wrapping_add(1);
        let opaque = self.opaque;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(TcpStream::connect(&self.address).await?),
        };
        let fields = self.key.as_ref().map_or_else(|| fields.to_vec(), |key| key.sign(fields));
        let header = Header { code, opaque, fields, ..Header::default() };
        let request = match header.write(HeaderForm::Json, &[]) {
            Ok(request) => request,
            Err(why) => return Ok(Err(why)),
        };
        stream.write_all(&request).await?;
        loop {
            let length = stream.read_i32().await?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if length > MAX_ANSWER_BYTES {
                return Ok(Err(Malformed(format!("an answer of {length} bytes; at most {MAX_ANSWER_BYTES} are read"))));
            }
            let mut message = vec![0; length];
            stream.read_exact(&mut message).await?;
            match Command::read(&Bytes::from(message)) {
                // Brokers ask clients too, and tell them of others.
                Ok(command) if !command.is_answer() || command.opaque != opaque => {}
                read => return Ok(read),
            }
        }
    }
}
