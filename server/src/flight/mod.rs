//! The Flight and Flight SQL door.

use tokio::net::TcpListener;

use crate::Door;

/// Serves connections of `listener` until the server stops; returns when the last stream has ended.
pub(crate) async fn serve(door: Door, listener: TcpListener) -> std::io::Result<()> {
    door.stopped().await;
    drop(listener);
    Ok(())
}
