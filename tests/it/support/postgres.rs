//! A PostgreSQL of one test's own, on a socket in its directory.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::services::skip;

/// Whom it runs as where the tests are root's, whom it does not run for.
const USER: &str = "postgres";

/// A server; stopped when it is dropped.
#[derive(Debug)]
pub struct OwnPostgres {
    dir: tempfile::TempDir,
    programs: PathBuf,
}

impl OwnPostgres {
    /// Starts one; none, said loudly, where there is no PostgreSQL.
    pub fn start(test: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            skip(test, "there is no PostgreSQL (apt-get install postgresql)");
            return None;
        };
        let postgres = Self { dir: tempfile::tempdir().expect("a temporary directory"), programs };
        if is_root() {
            let owner = Command::new("chown").arg(USER).arg(postgres.dir.path()).status();
            assert!(owner.expect("chown runs").success());
        }
        postgres.run("initdb", &["--no-sync", "--auth=trust", "--username=postgres"]);
        let options = format!("-c listen_addresses='' -c fsync=off -k {}", postgres.host());
        let log = postgres.data().with_file_name("log").display().to_string();
        postgres.run("pg_ctl", &["start", "--wait", "--silent", "--log", &log, "-o", &options]);
        Some(postgres)
    }

    /// What `PGHOST` is to be.
    pub fn host(&self) -> String {
        self.dir.path().display().to_string()
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", USER, "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        let data = self.data().display().to_string();
        command.args(["-D", &data]).args(arguments).current_dir(self.dir.path());
        // No pipe: the server would inherit it and keep it open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().is_ok_and(|status| status.success()), "{program} {arguments:?}");
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.run("pg_ctl", &["stop", "--mode=immediate"]);
        }
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

/// Where Debian puts what is not for everybody, or wherever the search path leads.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> =
        versions.filter_map(|at| Some(at.ok()?.path().join("bin"))).collect();
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_it = |folder: &PathBuf| folder.join("initdb").exists();
    std::env::split_paths(&path).chain(found).filter(has_it).last()
}
