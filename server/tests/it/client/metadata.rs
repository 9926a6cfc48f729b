//! What a client sends beside its messages.

use bytes::Bytes;
use millstream_client::{Client, Error, ErrorKind, ProducerOptions};

use super::{ids, manual, run, table};

/// A password, with which the server lets no call through.
const CREDENTIALS: &str = "Basic c29tZWJvZHk6c2VjcmV0";

#[test]
fn metadata_goes_with_every_call() {
    let server = table(1);
    run(async {
        let client = Client::connect(&server.url()).await.unwrap();
        let with = client.with_metadata("authorization", CREDENTIALS).unwrap();
        assert!(!format!("{with:?}").contains(CREDENTIALS), "credentials are not printed");
        let refused = |error: Error| {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
            assert!(error.to_string().contains("empty password"), "{error}");
        };
        refused(with.sql("SELECT 1").await.unwrap_err());
        refused(with.create_plugin("CREATE PLUGIN p FROM UPLOAD", Bytes::new()).await.unwrap_err());
        refused(with.consumer(manual("g"), &["t"]).await.unwrap_err());
        let mut producer = with.producer("t", ProducerOptions::default());
        refused(producer.append(&ids(0, 1)).await.unwrap_err());
        assert!(with.with_metadata("two words", "").is_err() && with.with_metadata("name", "\n").is_err());
        // The connection that it was made from is as it was.
        client.sql("SELECT 1").await.unwrap();
    });
}
