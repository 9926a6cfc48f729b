//! `information_schema` as DataFusion makes it, but for its views: tables are none.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::information_schema::InformationSchemaProvider;
use datafusion::catalog::{CatalogProviderList, SchemaProvider, TableFunction, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::datasource::empty::EmptyTable;

/// The relation of DataFusion's that lists every table.
const VIEWS: &str = "views";

#[derive(Debug)]
pub(super) struct InformationSchema {
    inner: InformationSchemaProvider,
}

impl InformationSchema {
    /// `functions` are the table functions that it lists.
    pub(super) fn new(
        catalogs: Arc<dyn CatalogProviderList>,
        functions: HashMap<String, Arc<TableFunction>>,
    ) -> InformationSchema {
        InformationSchema { inner: InformationSchemaProvider::new(catalogs).with_table_functions(functions) }
    }
}

#[async_trait]
impl SchemaProvider for InformationSchema {
    fn table_names(&self) -> Vec<String> {
        self.inner.table_names()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        let table = self.inner.table(name).await?;
        Ok(match table {
            Some(table) if name == VIEWS => Some(Arc::new(EmptyTable::new(table.schema()))),
            other => other,
        })
    }

    fn table_exist(&self, name: &str) -> bool {
        self.inner.table_exist(name)
    }
}
