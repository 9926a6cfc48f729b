//! Where segments go: the data directory, or an S3-compatible bucket.

use millstream_engine::SegmentStore;

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
            region: "us-east-1".to_owned(),
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

    fn open_s3(&self, _bucket: &str, _prefix: &str) -> Result<SegmentStore, ConfigError> {
        Err(ConfigError::SegmentStore("this build has no S3 support".to_owned()))
    }
}

fn bucket_and_prefix(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("s3://")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then(|| (bucket, prefix.trim_matches('/')))
}
