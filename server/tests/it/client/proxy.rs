//! A wire that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Passes connections on to an address until it is cut; afterwards new ones, once it is mended.
pub(super) struct Proxy {
    pub(super) url: String,
    cuts: watch::Sender<u64>,
    down: Arc<AtomicBool>,
    _listening: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn start(to: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("grpc://{}", listener.local_addr().unwrap());
        let (cuts, cut) = watch::channel(0);
        let down = Arc::new(AtomicBool::new(false));
        let is_down = Arc::clone(&down);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut passing = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                if is_down.load(Ordering::SeqCst) {
                    continue;
                }
                let mut cut = cut.clone();
                cut.mark_unchanged();
                passing.spawn(async move {
                    let Ok(mut far) = TcpStream::connect(to).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Proxy { url, cuts, down, _listening: listening }
    }

    /// Breaks every connection.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Breaks every connection, and lets no new ones through until [`Self::mend`].
    pub(super) fn cut_off(&self) {
        self.down.store(true, Ordering::SeqCst);
        self.cut();
    }

    pub(super) fn mend(&self) {
        self.down.store(false, Ordering::SeqCst);
    }
}
