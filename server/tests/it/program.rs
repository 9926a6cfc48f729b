//! Runs the binary.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A command of the binary, without the variables of whoever runs the tests.
pub(crate) fn millstream() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MILLSTREAM_") || name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("ended by a signal: {output:?}"))
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A file of examples/data.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/data").join(name)
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    /// Reads its log to the end.
    log: Option<JoinHandle<std::io::Result<String>>>,
    pub(crate) ready: String,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) remoting: SocketAddr,
    /// Its data directory, unless the test has its own.
    _dir: Option<tempfile::TempDir>,
}

impl Server {
    /// Over a directory of its own.
    pub(crate) fn start() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::over(dir.path(), &[]);
        server._dir = Some(dir);
        server
    }

    pub(crate) fn over(dir: &Path, options: &[&str]) -> Server {
        Server::over_with(dir, options, &[])
    }

    /// With variables.
    pub(crate) fn over_with(dir: &Path, options: &[&str], variables: &[(&str, &str)]) -> Server {
        let mut command = millstream();
        command.envs(variables.iter().copied());
        command.arg("serve").arg("--data").arg(dir.join("data"));
        for door in ["--grpc", "--http", "--remoting"].into_iter().filter(|door| !options.contains(door)) {
            command.args([door, "127.0.0.1:0"]);
        }
        command.args(options);
        Server::spawn(command)
    }

    /// Whose files can't grow past a size: writes beyond it fail as on a broken disk.
    pub(crate) fn over_small_files(dir: &Path, limit_bytes: u64) -> Server {
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", limit_bytes / 512);
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_millstream")).arg("serve");
        command.arg("--data").arg(dir.join("data")).args(["--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        command.args(["--remoting", "127.0.0.1:0"]);
        Server::spawn(command)
    }

    #[expect(clippy::disallowed_methods, reason = "whoever reads the log joins it")]
    fn spawn(mut command: Command) -> Server {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).map(|_| text)
        });
        let mut ready = String::new();
        out.read_line(&mut ready).unwrap();
        let address = |key: &str| ready.split_whitespace().find_map(|part| part.strip_prefix(key)?.parse().ok());
        let (Some(grpc), Some(http), Some(remoting)) = (address("grpc="), address("http="), address("remoting="))
        else {
            let _ = child.kill();
            panic!("no ready line but {ready:?}; the log: {}", log.join().unwrap().unwrap());
        };
        Server { child, out, log: Some(log), ready, grpc, http, remoting, _dir: None }
    }

    /// Ends it in order, and gives what it has logged.
    pub(crate) fn ended_log(mut self) -> String {
        self.signal("TERM");
        let log = self.log.take().unwrap();
        assert_eq!(self.wait().0, Some(0));
        log.join().unwrap().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// The exit code, and what else stood on standard output.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (status.code(), rest)
    }

    /// Runs a client command against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let (command, rest) = arguments.split_first().unwrap();
        millstream().arg(command).args(rest).args(["--url", &self.url()]).stdin(Stdio::null()).output().unwrap()
    }

    /// As [`Self::run`]; it must succeed.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(code(&output), 0, "{arguments:?}: {}", stderr(&output));
        stdout(&output).to_owned()
    }

    /// Runs a client command with something on standard input.
    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = millstream();
        command.args(arguments).args(["--url", &self.url()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("grpc://{}", self.grpc)
    }

    /// A figure of `/metrics`, by its name with labels and without `millstream_`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let (status, text) = self.http("GET", "/metrics", &[], b"");
        assert_eq!(status, 200);
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("millstream_{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no metric {name} in {text}"))
    }

    /// Waits until a figure has a value.
    pub(crate) fn until_metric(&self, name: &str, value: f64) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.metric(name) != value {
            assert!(Instant::now() < deadline, "{name} stays at {}, not {value}", self.metric(name));
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One HTTP request on a connection of its own: status and body.
    pub(crate) fn http(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(self.http).unwrap();
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request.push_str(&format!("Host: {}\r\n", self.http));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        stream.write_all(request.as_bytes()).unwrap();
        // A server that refuses the body may close before it has read all of it.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        parse(&answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(answer: &[u8]) -> (u16, Vec<u8>) {
    let end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"));
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    let body = &answer[end + 4..];
    if !head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        return (status, body.to_vec());
    }
    let (mut rest, mut whole) = (body, Vec::new());
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        if size == 0 {
            return (status, whole);
        }
        whole.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
}
