//! Where segments go: the data directory, or an S3-compatible bucket.

use std::sync::Arc;

use millstream_engine::SegmentStore;
use object_store::aws::AmazonS3Builder;

use super::ConfigError;

const LOCAL: &str = "local";

/// The settings of the segment store, as given.
#[derive(Clone)]
pub(crate) struct SegmentStoreSettings {
    /// `local` or `s3://BUCKET/PREFIX`.
    pub(crate) url: String,
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) allow_http: bool,
}

impl Default for SegmentStoreSettings {
    fn default() -> Self {
        SegmentStoreSettings {
            url: LOCAL.to_owned(),
            endpoint: String::new(),
            region: String::new(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            allow_http: false,
        }
    }
}

/// Keeps the secret out of logs.
impl std::fmt::Debug for SegmentStoreSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentStoreSettings")
            .field("url", &self.url)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl SegmentStoreSettings {
    /// Accepts `local` and `s3://BUCKET[/PREFIX]`.
    pub(crate) fn check_url(text: &str) -> Result<String, String> {
        if text == LOCAL || bucket_and_prefix(text).is_some() {
            return Ok(text.to_owned());
        }
        Err(format!("{text:?} is no segment store; write local or s3://BUCKET/PREFIX"))
    }

    pub(crate) fn open(&self) -> Result<SegmentStore, ConfigError> {
        match bucket_and_prefix(&self.url) {
            None => Ok(SegmentStore::Local),
            Some((bucket, prefix)) => self.open_s3(bucket, prefix),
        }
    }

    /// What is not set here comes from the `AWS_*` variables. No request is made: a wrong bucket shows when the engine
    /// opens it.
    fn open_s3(&self, bucket: &str, prefix: &str) -> Result<SegmentStore, ConfigError> {
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
        if let Some(endpoint) = given(&self.endpoint) {
            builder = builder.with_allow_http(self.allow_http || is_loopback(&endpoint)).with_endpoint(endpoint);
        } else if self.allow_http {
            builder = builder.with_allow_http(true);
        }
        if let Some(region) = given(&self.region) {
            builder = builder.with_region(region);
        }
        if let Some(id) = given(&self.access_key_id) {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = given(&self.secret_access_key) {
            builder = builder.with_secret_access_key(secret);
        }
        let store = builder.build().map_err(|error| ConfigError::SegmentStore(error.to_string()))?;
        Ok(SegmentStore::Remote { store: Arc::new(store), prefix: prefix.to_owned(), url: self.url.clone() })
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.strip_prefix("http://").unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let own = ["127.0.0.1", "localhost", "[::1]"];
    own.iter().any(|own| host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
}

fn bucket_and_prefix(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then(|| (bucket, prefix.trim_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_bucket() {
        for text in ["local", "s3://bucket", "s3://bucket/a/b/"] {
            assert!(SegmentStoreSettings::check_url(text).is_ok(), "{text}");
        }
        for text in ["", "s3://", "s3:///x", "gs://bucket", "/tmp"] {
            assert!(SegmentStoreSettings::check_url(text).is_err(), "{text}");
        }
        assert_eq!(bucket_and_prefix("s3://bucket/a/b/"), Some(("bucket", "a/b")));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let settings = SegmentStoreSettings { secret_access_key: "hush".to_owned(), ..Default::default() };
        assert!(!format!("{settings:?}").contains("hush"));
    }
}
