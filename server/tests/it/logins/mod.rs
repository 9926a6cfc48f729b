//! Who calls: what each door takes for credentials, and what it ends when they end.

mod audit;
mod calls;
mod commands;
mod flight;
mod http;
mod secrets;
mod streams;

use std::path::Path;

use arrow::array::AsArray;
use millstream_client::{Client, Credentials};

use crate::program::Server;

pub(super) const ADMIN: &str = "the first password";
pub(super) const ANN: &str = "password of ann";

/// Runs a test's future.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).thread_stack_size(8 << 20).enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(std::time::Duration::from_secs(120), test).await.expect("the test hangs")
    })
}

/// A server that was started with the administrator's password.
pub(super) fn server(dir: &Path, options: &[&str]) -> Server {
    Server::over_with(dir, options, &[("MILLSTREAM_INIT_ADMIN_PASSWORD", ADMIN)])
}

pub(super) async fn client(server: &Server, credentials: Credentials) -> Client {
    Client::connect(&server.url()).await.unwrap().with_credentials(credentials).unwrap()
}

pub(super) async fn admin(server: &Server) -> Client {
    client(server, Credentials::password("admin", ADMIN)).await
}

/// The first column of the first row.
pub(super) async fn told(client: &Client, statement: &str) -> String {
    let batches = client.sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    batches[0].column(0).as_string::<i32>().value(0).to_owned()
}

pub(super) async fn done(client: &Client, statements: &[&str]) {
    for statement in statements {
        client.sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// Everything that shows a login, and what it is told.
#[derive(Debug)]
pub(super) struct Tokens {
    pub(super) good: String,
    pub(super) dropped: String,
    pub(super) expired: String,
}

/// Users of all kinds: ann is well, bob was dropped, cleo is disabled, dora is nobody's friend.
pub(super) async fn users(admin: &Client) -> Tokens {
    let user = |name: &str| format!("CREATE USER {name} PASSWORD '{ANN}'");
    done(admin, &[&user("ann"), &user("bob"), &user("cleo"), &user("dora")]).await;
    let good = told(admin, "CREATE TOKEN good FOR ann").await;
    let dropped = told(admin, "CREATE TOKEN dropped FOR ann").await;
    let expired = told(admin, "CREATE TOKEN expired FOR ann EXPIRES IN '1 s'").await;
    done(admin, &["DROP TOKEN dropped FOR ann", "DROP USER bob", "ALTER USER cleo SET (disabled = true)"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    Tokens { good, dropped, expired }
}
