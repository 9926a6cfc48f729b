//! The Millstream client: producers, consumer groups and SQL over Arrow Flight. It depends on nothing inside the server.
//!
//! ```no_run
//! # async fn example() -> millstream_client::Result<()> {
//! use millstream_client::{Client, ConsumerOptions};
//!
//! let client = Client::connect("grpc://127.0.0.1:8081").await?;
//! let mut consumer = client.consumer(ConsumerOptions::group("desk"), &["late_departures"]).await?;
//! while let Some(batch) = consumer.poll(std::time::Duration::from_secs(5)).await? {
//!     println!("{} rows up to offset {}", batch.data.num_rows(), batch.next_offset);
//! }
//! consumer.close().await
//! # }
//! ```

mod backoff;
mod batch;
mod call;
mod client;
mod connection;
mod consumer;
mod credentials;
mod error;
mod options;
mod producer;
pub mod rows;
mod tls;

pub use client::{BatchStream, Client, DEFAULT_URL, Rows};
pub use consumer::{Batch, Consumer, Offsets, Partition, SeekTo};
pub use credentials::{Credentials, TokenError};
pub use error::{Error, Result};
pub use options::ConsumerOptions;
pub use producer::{Ack, Appended, PendingAck, Producer, ProducerOptions};
pub use protocol::{Durability, ErrorKind};
pub use tls::TlsOptions;

/// What options and answers are made of.
pub mod protocol {
    pub use millstream_protocol::{AutoOffsetReset, Compression, Durability, ErrorKind, GroupMode};
}
