//! What a cluster that is alive has, in place of files.

use super::export::Exported;
use crate::cli::exit::Failure;
use crate::rocketmq::AccessKey;
use crate::rocketmq::cluster::{self, Broker, ClusterError};

/// Its brokers, and the topics and groups of all of them.
pub(super) async fn read(name_server: &str, key: Option<&AccessKey>) -> Result<(Vec<Broker>, Exported), Failure> {
    let mut brokers = cluster::brokers(name_server, key).await?;
    let mut exported = Exported::default();
    for broker in &mut brokers {
        for definitions in broker.definitions().await? {
            exported.add(&definitions).map_err(|why| Failure::failed(format!("broker {}: {why}", broker.name())))?;
        }
    }
    Ok((brokers, exported))
}

impl From<ClusterError> for Failure {
    fn from(error: ClusterError) -> Failure {
        match error {
            ClusterError::Unreachable { .. } => Failure::unreachable(error),
            ClusterError::Refused { .. } | ClusterError::Malformed { .. } => Failure::failed(error),
        }
    }
}
