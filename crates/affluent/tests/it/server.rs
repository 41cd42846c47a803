//! `affluent start` on a data directory and ports of its own, found through the ready file.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use testkit::process::Process;
use testkit::wait::wait_for;

const LIMIT: Duration = Duration::from_secs(60);

/// The binary, without any setting of the caller's environment.
pub(crate) fn affluent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_affluent"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AFFLUENT_") {
            command.env_remove(name);
        }
    }
    command
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// Standard error of a command that must have failed.
    #[track_caller]
    pub(crate) fn failed(self) -> String {
        assert_eq!(self.code, 1, "{self:?}");
        self.stderr
    }
}

/// A running broker.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    directory: tempfile::TempDir,
    ready: Value,
    flags: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_with(&[], &[])
    }

    pub(crate) fn start_with(flags: &[&str], environment: &[(&str, &str)]) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), flags, environment)
    }

    fn start_in(
        directory: tempfile::TempDir,
        flags: &[&str],
        environment: &[(&str, &str)],
    ) -> Server {
        let ready_file = directory.path().join("ready.json");
        let mut command = affluent();
        // The registry would make a topic of its own, which tests of topics do not expect.
        let roles: &[&str] = if flags.contains(&"--roles") {
            &[]
        } else {
            &["--roles", "broker,rest-proxy"]
        };
        command
            .args([
                "start",
                "--listener",
                "127.0.0.1:0",
                "--admin-listener",
                "127.0.0.1:0",
            ])
            .args(["--data-dir", "data", "--ready-file", "ready.json"])
            .args(["--override", "group.initial.rebalance.delay.ms=0"])
            .args(["--override", "kafka.rest.listeners=http://127.0.0.1:0"])
            .args(roles)
            .args(flags)
            .envs(environment.iter().copied())
            .current_dir(directory.path());
        let log = directory.path().join("log");
        let mut process = Process::spawn("affluent", &mut command, &log).unwrap();
        let ready = wait_for("the ready file", LIMIT, || {
            if let Some(status) = process.exited()? {
                panic!("affluent ended with {status}: {}", process.log_text());
            }
            Ok(std::fs::read(&ready_file).ok())
        });
        let ready = serde_json::from_slice(&ready.unwrap()).unwrap();
        Server {
            process,
            directory,
            ready,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        }
    }

    /// Stops it gracefully and starts it again on the same data.
    pub(crate) fn restart(mut self) -> Server {
        assert!(
            self.process.terminate(LIMIT).unwrap().success(),
            "{}",
            self.log()
        );
        self.start_again()
    }

    /// Starts it again on the same data, once it has ended.
    pub(crate) fn start_again(self) -> Server {
        drop(self.process);
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        Server::start_in(self.directory, &flags, &[])
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Waits until it ends by itself, and gives the exit code.
    pub(crate) fn wait(&mut self) -> i32 {
        wait_for("the end", LIMIT, || self.process.exited())
            .unwrap()
            .code()
            .unwrap()
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        self.process.terminate(LIMIT).unwrap().code().unwrap()
    }

    /// What it printed and logged.
    pub(crate) fn log(&self) -> String {
        self.process.log_text()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn ready_file(&self) -> PathBuf {
        self.directory().join("ready.json")
    }

    pub(crate) fn ready(&self) -> &Value {
        &self.ready
    }

    /// Where a service beside it listens.
    pub(crate) fn service(&self, role: &str) -> String {
        let services = self.ready["services"].as_array().unwrap();
        let found = services.iter().find(|service| service["role"] == role);
        found.unwrap()["address"].as_str().unwrap().to_owned()
    }

    pub(crate) fn bootstrap(&self) -> &str {
        self.ready["listeners"][0]["address"].as_str().unwrap()
    }

    /// `affluent` with this broker as its bootstrap.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = affluent();
        command
            .args(arguments.split_whitespace())
            .env("AFFLUENT_BOOTSTRAP", self.bootstrap());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Run {
        Run::of(
            self.command(arguments)
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    }

    pub(crate) fn run_with_input(&self, arguments: &str, input: &[u8]) -> Run {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Run::of(child.wait_with_output().unwrap())
    }

    /// The JSON a command prints.
    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{arguments} -o json")).ok()).unwrap()
    }

    /// GET on the admin listener: the status line and the body.
    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.ready["admin"].as_str().unwrap()).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// Puts names where this run's own values stand; that of the cluster is as long as its value, for tables.
    pub(crate) fn stable(&self, text: &str) -> String {
        let bootstrap = self.bootstrap();
        let admin = self.ready["admin"].as_str().unwrap();
        let cluster_id = self.ready["cluster_id"].as_str().unwrap();
        let mut text = text.to_owned();
        for service in self.ready["services"].as_array().unwrap() {
            let name = format!("{{{}}}", service["role"].as_str().unwrap());
            text = text.replace(service["address"].as_str().unwrap(), &name);
        }
        text.replace(bootstrap, "{bootstrap}")
            .replace(admin, "{admin}")
            .replace(cluster_id, "{cluster-id-22-letters")
            .replace(env!("CARGO_PKG_VERSION"), "{version}")
    }
}
