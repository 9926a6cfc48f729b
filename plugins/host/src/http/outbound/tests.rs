use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use parking_lot::{Condvar, Mutex};

use super::*;
use crate::tenants::Tenants;

static ANSWERED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Nobody answers for names that end in `.mute`.
fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let mut answered = ANSWERED.0.lock();
    while name.ends_with(".mute") && !*answered {
        ANSWERED.1.wait(&mut answered);
    }
    Ok(vec![Ipv4Addr::LOCALHOST.into()])
}

/// Comes in the end, so that a server whose client has failed does not wait for one.
struct LastClient(SocketAddr);

impl Drop for LastClient {
    fn drop(&mut self) {
        let _ = TcpStream::connect(self.0);
    }
}

fn get(outbound: &Outbound, tenant: &Tenant, url: &str, patience: Duration) -> Result<WireResponse, FailedRequest> {
    let request = Request::new(reqwest::Method::GET, url.parse().expect("a URL"));
    outbound.send(tenant, request, Instant::now() + patience)
}

#[test]
fn a_namespace_whose_names_nobody_answers_for_stops_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let port = address.port();
    let allow = "127.0.0.0/8".parse().expect("a network");
    let outbound = Outbound::start_with(&allow, &Networks::default(), look_up).expect("it starts");
    let tenants = Tenants::new();
    let (mute, other) = (tenants.get("mute"), tenants.get("other"));
    thread::scope(|scope| {
        let _last = LastClient(address);
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("one comes");
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
        });
        // More than there are places for, and given up before any is answered.
        for n in 0..2 * MAX_AT_ONCE {
            let (outbound, mute) = (&outbound, &mute);
            scope.spawn(move || {
                let failed = get(outbound, mute, &format!("http://n{n}.mute:{port}/"), Duration::from_secs(2));
                assert_eq!(failed.expect_err("nobody answers").error, WireHttpError::TimedOut);
            });
        }
        let patience = Instant::now() + Duration::from_secs(20);
        while mute.requests.running() < MAX_AT_ONCE / 2 {
            assert!(Instant::now() < patience, "they are not under way");
            thread::yield_now();
        }
        let answer = get(&outbound, &other, &format!("http://ok.example:{port}/"), Duration::from_secs(20));
        assert_eq!(answer.expect("an answer").body, b"hi");
    });
    assert_eq!(mute.requests.running(), MAX_AT_ONCE / 2, "their look-ups keep their places");
    *ANSWERED.0.lock() = true;
    ANSWERED.1.notify_all();
    let patience = Instant::now() + Duration::from_secs(20);
    while mute.requests.running() > 0 {
        assert!(Instant::now() < patience, "places are not given back");
        thread::yield_now();
    }
}
