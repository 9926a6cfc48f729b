//! What a server says of itself.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};

use crate::cli::client::Client;
use crate::cli::exit::Failure;

/// All as text.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Values by name; nothing where one is not set.
    pub(super) settings: BTreeMap<String, String>,
    /// Who can log in at all.
    pub(super) users: Vec<String>,
    /// Grantee and rights on the server.
    pub(super) server_grants: Vec<[String; 2]>,
    /// Member and the role that was given to him.
    pub(super) members: Vec<[String; 2]>,
    /// User and token, of those without an end.
    pub(super) endless_tokens: Vec<[String; 2]>,
    /// Namespace, name and what it may reach beside its rows.
    pub(super) reaching_plugins: Vec<[String; 3]>,
}

impl Facts {
    pub(super) async fn ask(client: &Client) -> Result<Facts, Failure> {
        let settings = rows::<2>(client, "SELECT name, value FROM system.settings").await?;
        if settings.is_empty() {
            return Err(Failure::failed(
                "the server tells its settings to whoever has OPERATE ON SERVER only: log in as an administrator",
            ));
        }
        let users = rows::<1>(client, "SELECT name FROM system.users WHERE NOT disabled ORDER BY name").await?;
        let plugins = "SELECT namespace, name, concat_ws(', ', nullif(grants, ''), 'hosts ' || nullif(http, ''), 'tables ' || nullif(tables, '')) \
                       AS reaches FROM system.plugins WHERE coalesce(grants, '') <> '' OR coalesce(http, '') <> '' OR coalesce(tables, '') <> '' \
                       ORDER BY 1, 2";
        Ok(Facts {
            settings: settings.into_iter().map(|[name, value]| (name, value)).collect(),
            users: users.into_iter().map(|[name]| name).collect(),
            server_grants: rows(
                client,
                "SELECT grantee, rights FROM system.grants WHERE kind = 'SERVER' ORDER BY 1, 2",
            )
            .await?,
            members: rows(client, "SELECT member, role FROM system.role_members ORDER BY 1, 2").await?,
            endless_tokens: rows(
                client,
                "SELECT user_name, name FROM system.tokens WHERE expires_at IS NULL ORDER BY 1, 2",
            )
            .await?,
            reaching_plugins: rows(client, plugins).await?,
        })
    }

    /// A setting; empty where it is not set, or is none of the server's.
    pub(super) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }
}

/// Rows of so many columns of text.
async fn rows<const N: usize>(client: &Client, statement: &str) -> Result<Vec<[String; N]>, Failure> {
    let mut rows = Vec::new();
    for batch in client.run(statement).await? {
        let columns: Vec<_> = batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>()).collect();
        for row in 0..batch.num_rows() {
            rows.push(std::array::from_fn(|at| {
                let column = columns.get(at).filter(|column| column.is_valid(row));
                column.map_or_else(String::new, |column| column.value(row).to_owned())
            }));
        }
    }
    Ok(rows)
}
