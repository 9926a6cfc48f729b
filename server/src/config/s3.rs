//! Settings of where segments are kept.

use super::forms::{flag, text, verbatim};
use super::segment_store::SegmentStoreSettings;
use super::setting::{Access, Setting};
use super::values::parse_bool;

pub(super) const URL: Setting = text!(
    "segment_url",
    "URL",
    |config| config.segment_store.url.clone(),
    |config, text| {
        config.segment_store.url = SegmentStoreSettings::check_url(text)?;
        Ok(())
    },
    "Where segments are kept: local (segments/ of the data directory) or s3://BUCKET/PREFIX"
);

pub(super) const ENDPOINT: Setting = verbatim!(
    "s3_endpoint",
    "URL",
    segment_store.endpoint,
    "The S3 service, such as http://127.0.0.1:9000; from AWS_ENDPOINT if not given, else AWS"
);

pub(super) const REGION: Setting =
    verbatim!("s3_region", "REGION", segment_store.region, "The region of the bucket; from AWS_REGION if not given");

pub(super) const ACCESS_KEY_ID: Setting = verbatim!(
    "s3_access_key_id",
    "ID",
    segment_store.access_key_id,
    "The access key; without one the AWS_* variables are used"
);

pub(super) const SECRET_ACCESS_KEY: Setting = Setting {
    key: "s3_secret_access_key",
    help: "The secret of the access key; by variable or file only",
    access: Access::Secret { set: |config, text| text.clone_into(&mut config.segment_store.secret_access_key) },
};

pub(super) const ALLOW_HTTP: Setting = flag!(
    "s3_allow_http",
    segment_store.allow_http,
    "Whether the S3 service may be reached without TLS; always so on this machine"
);
