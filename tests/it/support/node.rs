//! A contactd as a child process: its settings, its faults, its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::wait::{wait_for, wait_until};

/// How long a child may take at the most; far longer than any does.
const END_BY: Duration = Duration::from_secs(90);
const SIGKILL: i32 = 9;

/// A data directory and how contactd is run on it.
#[derive(Clone, Debug)]
pub struct Node {
    /// The data directory.
    pub store: PathBuf,
    settings: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// None: as many as the tests themselves.
    open_files: Option<u64>,
}

/// How a child ended.
#[derive(Debug)]
pub struct Exit {
    pub status: ExitStatus,
    /// Everything it wrote to standard error.
    pub stderr: String,
}

/// A child that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stderr: PathBuf,
}

impl Node {
    /// Small in every respect, so that little data meets many checkpoints, segments and snapshots.
    pub fn new(store: &Path) -> Self {
        let settings = [
            ("server.listen", "127.0.0.1:0"),
            // Nobody balances anything here.
            ("server.lame_duck", "0"),
            ("jwt.secret", "q3Jx0b+8v1Yy5wz2m1bUq8rW4pQ7n9Lk0TzVfX2cH6s"),
            ("store.cache_bytes", "1MiB"),
            ("store.sled_cache_bytes", "8MiB"),
            ("store.dirty_bytes_max", "64KiB"),
            ("store.checkpoint_interval", "10ms"),
            ("store.snapshot_interval", "1s"),
            ("store.journal_segment_bytes", "16KiB"),
            ("store.min_free_bytes", "0"),
            ("store.ballast_bytes", "0"),
            ("apply.batch_records_max", "64"),
            // What a run appends by itself would be in another's log already.
            ("bridge.rehome", "false"),
            // What is published is noted in a control entry, whenever that comes about.
            ("dead_letters.topic", "off"),
            ("telemetry.log", "warn"),
            ("telemetry.log_format", "text"),
        ];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut node = Self {
            store: store.to_owned(),
            settings: settings.into(),
            arguments: Vec::new(),
            open_files: None,
        };
        node.settings.insert("store.path".into(), store.display().to_string());
        node
    }

    /// Bytes of its journal now: what shows from outside that it applies.
    pub fn journal_bytes(&self) -> u64 {
        let Ok(segments) = std::fs::read_dir(self.store.join("journal")) else {
            return 0;
        };
        segments.filter_map(|segment| segment.ok()?.metadata().ok()).map(|at| at.len()).sum()
    }

    /// Waits until its journal has more bytes than that.
    #[track_caller]
    pub fn wait_until_journal_exceeds(&self, bytes: u64) {
        wait_until(END_BY, "the journal grows", || self.journal_bytes() > bytes);
    }

    /// Sets a key of the configuration.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds a flag of `serve`.
    #[must_use]
    pub fn flag(mut self, flag: &str) -> Self {
        self.arguments.push(flag.to_owned());
        self
    }

    /// May have so many open files and sockets.
    #[must_use]
    pub fn with_open_files(mut self, open_files: u64) -> Self {
        self.open_files = Some(open_files);
        self
    }

    /// The same node on another data directory.
    #[must_use]
    pub fn on(mut self, store: &Path) -> Self {
        self.store = store.to_owned();
        self.with("store.path", store.display())
    }

    /// `contactd` with this node's configuration, and nothing of the tests' own environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let given = std::env::var("CONTACTD_TEST_BINARY").ok();
        let program = given.as_deref().unwrap_or(env!("CARGO_BIN_EXE_contactd"));
        let mut command = match self.open_files {
            None => Command::new(program),
            Some(open_files) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit -n {open_files}; exec \"$0\" \"$@\""), program]);
                shell
            }
        };
        command.args(arguments).env_clear().stdin(Stdio::null());
        // Away from any .env file of whoever runs the tests.
        command.current_dir(self.store.parent().expect("a data directory has a parent"));
        for (key, value) in &self.settings {
            let name = key.to_uppercase().replace('.', "__");
            command.env(format!("CONTACTD_{name}"), value);
        }
        command
    }

    /// Starts `contactd serve` with faults armed; see `telemetry::fault` for their names.
    #[track_caller]
    pub fn start(&self, fault: &str) -> Running {
        let mut arguments = vec!["serve"];
        arguments.extend(self.arguments.iter().map(String::as_str));
        self.start_command(&arguments, fault)
    }

    /// Starts any command of contactd's.
    #[track_caller]
    pub fn start_command(&self, arguments: &[&str], fault: &str) -> Running {
        let name = self.store.file_name().and_then(|name| name.to_str()).unwrap_or("node");
        let stderr = self.store.with_file_name(format!("{name}.stderr"));
        let file = File::create(&stderr).expect("a file for standard error");
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(file);
        if !fault.is_empty() {
            command.env("CONTACTD_FAULT", fault);
        }
        let child = command.spawn().expect("contactd starts");
        Running { child, stderr }
    }

    /// Runs until all that the log holds is applied, or a fault ends it.
    #[track_caller]
    pub fn catch_up(&self, fault: &str) -> Exit {
        self.clone().flag("--until-caught-up").start(fault).wait()
    }

    /// Runs until all that the log holds is applied, and fails if anything goes wrong.
    #[track_caller]
    pub fn catch_up_soundly(&self) {
        self.catch_up_soundly_within(END_BY);
    }

    /// The same of a log that takes longer.
    #[track_caller]
    pub fn catch_up_soundly_within(&self, longest: Duration) {
        let exit = self.clone().flag("--until-caught-up").start("").wait_for(longest);
        assert!(exit.status.success(), "{}: {}", exit.status, exit.stderr);
    }
}

impl Exit {
    /// Whether it was killed by SIGKILL.
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(SIGKILL)
    }

    /// Fails unless it ended with an error that says all of this.
    #[track_caller]
    pub fn assert_refused(&self, words: &[&str]) {
        let code = self.status.code();
        assert!(code.is_some_and(|code| code != 0), "ended with {}: {}", self.status, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }
}

impl Running {
    /// Its number.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> Exit {
        self.wait_for(END_BY)
    }

    /// The same of one that has more to do.
    #[track_caller]
    pub fn wait_for(mut self, longest: Duration) -> Exit {
        let end = Instant::now() + longest;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if Instant::now() >= end {
                let _ = self.child.kill();
                panic!("contactd did not end in {longest:?}: {}", self.stderr());
            }
            std::thread::park_timeout(Duration::from_millis(2));
        };
        Exit { status, stderr: self.stderr() }
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read(&self.stderr)
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .unwrap_or_default()
    }

    /// Waits until it says `word`, and fails when it ends before.
    #[track_caller]
    pub fn wait_until_it_says(&mut self, deadline: Duration, word: &str) {
        let what = format!("contactd says {word:?}");
        let ended = wait_for(deadline, &what, || {
            if self.stderr().contains(word) {
                return Some(None);
            }
            self.child.try_wait().expect("a child can be waited for").map(Some)
        });
        if let Some(status) = ended {
            assert!(self.stderr().contains(word), "ended with {status}: {}", self.stderr());
        }
    }

    /// Where it answers HTTP, once it does; its log has to tell.
    #[track_caller]
    pub fn address(&mut self, deadline: Duration) -> SocketAddr {
        self.wait_until_it_says(deadline, "listening");
        let told = self.stderr();
        let at = told.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next());
        at.and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("no address in {told}"))
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(mut self) -> Exit {
        self.child.kill().expect("a child can be killed");
        self.wait()
    }

    /// Asks it to end, as an operator does, and waits for it.
    #[track_caller]
    pub fn stop(self) -> Exit {
        let stopped = Command::new("/bin/kill").arg(self.child.id().to_string()).status();
        assert!(stopped.expect("kill runs").success());
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
