//! Arguments of commands that have no more of their own, and those that several share.

use std::path::PathBuf;

use clap::Args;
use millstream_client::{DEFAULT_URL, TlsOptions};
use millstream_protocol::DEFAULT_NAMESPACE;

use super::login::Login;
use crate::format::Format;

/// What these options stand under in the help.
const TLS: &str = "TLS";

/// Where the server is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connection {
    /// The server's Flight door
    #[arg(long, env = "MILLSTREAM_URL", default_value = DEFAULT_URL, value_name = "URL")]
    pub(crate) url: String,
    /// What unqualified names are looked up in
    #[arg(long, env = "MILLSTREAM_NAMESPACE", default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub(crate) namespace: String,
    #[command(flatten)]
    pub(crate) login: Login,
    #[command(flatten)]
    pub(crate) tls: TlsArguments,
}

/// Whom to trust with `grpc+tls://` URLs, and what to show.
#[derive(Debug, Clone, Args)]
pub(crate) struct TlsArguments {
    /// With a URL grpc+tls://HOST:PORT, a PEM file of certificates to trust in place of the machine's
    #[arg(long, env = "MILLSTREAM_TLS_CA", value_name = "FILE", help_heading = TLS)]
    tls_ca: Option<PathBuf>,
    /// The SHA-256 of the server's certificate, as the server says it at its start, to know the server by that alone
    #[arg(long, env = "MILLSTREAM_TLS_FINGERPRINT", value_name = "SHA256", help_heading = TLS)]
    tls_fingerprint: Option<String>,
    /// A PEM file of the certificate to show to the server
    #[arg(long, env = "MILLSTREAM_TLS_CLIENT_CERT", value_name = "FILE", requires = "tls_client_key", help_heading = TLS)]
    tls_client_cert: Option<PathBuf>,
    /// A PEM file of its key
    #[arg(long, env = "MILLSTREAM_TLS_CLIENT_KEY", value_name = "FILE", requires = "tls_client_cert", help_heading = TLS)]
    tls_client_key: Option<PathBuf>,
}

impl TlsArguments {
    pub(crate) fn options(&self) -> TlsOptions {
        TlsOptions {
            ca_file: self.tls_ca.clone(),
            fingerprint: self.tls_fingerprint.clone(),
            certificate_file: self.tls_client_cert.clone(),
            key_file: self.tls_client_key.clone(),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Without -c and -f, statements are read from standard input, each ended by a semicolon. They are executed one after the \
other, and the first that fails ends the command.

Examples:
  millstream sql -c \"SELECT carrier, count(*) FROM flights GROUP BY carrier\"
  millstream sql --format json -c \"SHOW TOPICS\" | jq .
  millstream sql -f schema.sql
  echo \"SELECT 1;\" | millstream sql --format csv")]
pub(crate) struct SqlArguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// A statement, or several with semicolons between
    #[arg(short = 'c', long, value_name = "STATEMENT", conflicts_with = "file")]
    pub(crate) command: Option<String>,
    /// A file of statements
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With --create, the table gets the file's columns, one partition, and as event time the first timestamp column without \
nulls, if there is one. The rows go through one idempotent producer: a broken connection neither loses nor doubles any.

Examples:
  millstream import flights flights.parquet --create
  millstream import weather observations.csv
  millstream import events events.jsonl --create --url grpc://10.0.0.5:8081")]
pub(crate) struct ImportArguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The table
    pub(crate) table: String,
    /// A file whose name ends in .parquet, .csv, .jsonl, .json or .arrow
    pub(crate) file: PathBuf,
    /// Make the table from the file's columns first; it goes again if a row can't be imported
    #[arg(long)]
    pub(crate) create: bool,
    /// What stands between the cells of CSV: an ASCII character, or \t
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: u8,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("it is one ASCII character, but no quote and no line end".to_owned()),
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
The file appears under its name when it is whole.

Examples:
  millstream export flights flights.parquet
  millstream export late_departures late.csv
  millstream export --query \"SELECT origin, avg(dep_delay) AS mean FROM flights GROUP BY origin\" delays.jsonl")]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The table or topic; not with --query
    #[arg(value_name = "TABLE")]
    pub(crate) source: Option<String>,
    /// A file whose name ends in .parquet, .csv, .jsonl or .arrow
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A query whose rows are written
    #[arg(long, value_name = "SQL")]
    pub(crate) query: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Standard input holds one row after the other. Rows are sent as they come; what waits together is sent together.

Examples:
  echo '{\"sensor\": 7, \"at\": \"2026-01-01T00:00:00Z\", \"value\": 21.5}' | millstream produce readings
  tail -f events.jsonl | millstream produce events
  millstream produce readings --input csv < readings.csv")]
pub(crate) struct ProduceArguments {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// The table
    pub(crate) table: String,
    /// How rows are written on standard input; CSV has a header line
    #[arg(long, value_enum, default_value_t = InputFormat::Json)]
    pub(crate) input: InputFormat,
    /// What stands between the cells of CSV: an ASCII character, or \t
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: u8,
    /// Put all rows into this partition
    #[arg(long, value_name = "P")]
    pub(crate) partition: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InputFormat {
    /// One object after the other
    Json,
    /// A header, then the rows
    Csv,
}

/// How listings are written.
#[derive(Debug, Clone, Args)]
pub(crate) struct Listing {
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}
