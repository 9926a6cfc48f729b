//! Whether continuous topics fit what is defined.

use super::Admitting;
use crate::model::{ContinuousId, ContinuousInfo, Error, Result, TableId};
use crate::state::earlier::{Earlier, in_use};

impl Admitting<'_> {
    /// Its tables are made by the records before it, so that admission does not find them yet.
    pub(super) fn admit_continuous(&self, info: &ContinuousInfo, earlier: &Earlier<'_>) -> Result<()> {
        self.catalog.known_namespace(&info.namespace)?;
        if info.sources.is_empty() || info.sources.len() != info.source_versions.len() {
            return Err(Error::Internal(format!("continuous topic {:?} has no sources, or no versions", info.name)));
        }
        for (source, version) in info.sources.iter().zip(&info.source_versions) {
            let table = self.catalog.known_table(*source)?;
            if earlier.dropped_tables.contains(source) {
                return Err(Error::gone("table"));
            }
            if table.namespace != info.namespace {
                return Err(Error::InvalidInput("a continuous topic reads tables of its own namespace".to_owned()));
            }
            if !(1..=table.schema_version()).contains(version) {
                return Err(Error::InvalidInput(format!("table {:?} has no schema version {version}", table.name)));
            }
        }
        self.admit_called(&info.namespace, &info.plugins, &info.functions)
    }

    pub(super) fn admit_continuous_replacement(&self, info: &ContinuousInfo) -> Result<()> {
        let found = self.known_continuous(info.id)?;
        match found.version.checked_add(1) == Some(info.version) {
            true => Ok(()),
            false => Err(Error::Busy(format!("continuous topic {:?} was altered meanwhile", info.name))),
        }
    }

    pub(super) fn known_continuous(&self, id: ContinuousId) -> Result<&ContinuousInfo> {
        let found = self.catalog.continuous(id).map(AsRef::as_ref);
        found.ok_or_else(|| Error::gone("continuous topic"))
    }

    /// Its output and its late rows go with the topic; what it reads stays as long as it does.
    pub(super) fn refuse_continuous_of_table(&self, id: TableId, name: &str, earlier: &Earlier<'_>) -> Result<()> {
        let stays = |info: &ContinuousInfo| !earlier.dropped_continuous.contains(&info.id);
        if let Some(of) = self.catalog.continuous_of_table(id).filter(|of| stays(of)) {
            let what = if of.output == id { "output" } else { "late rows" };
            return in_use("table", name, format!("continuous topic {:?}, whose {what} it holds: DROP TOPIC", of.name));
        }
        let mut readers = self.catalog.continuous_readers(id).filter(|reader| stays(reader));
        readers.next().map_or(Ok(()), |by| in_use("table", name, format!("continuous topic {:?}", by.name)))
    }
}
