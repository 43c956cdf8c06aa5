//! Named faults for tests: kill this process at a point, let an I/O call fail, let a known bug in,
//! set its clock wrong.
//!
//! Armed by `CONTACTD_FAULT`, a comma-separated list: `kill:journalled:3` (SIGKILL at the third
//! hit), `eio:journal_sync:1` and `enospc:journal_append:2` (that hit fails; `*` for every hit; also
//! `emfile`, `enfile`, `eintr` and `eacces`),
//! `bug:clock_from_record` (a deliberate mistake, to show that the tests see it), `panic:feed` (the task of
//! that name), `power:DIR` (after
//! each sync of a file, keep in DIR a copy of what it covered, for a test that then cuts the power),
//! `clock:ahead:3600` and `clock:behind:3600` (what this process takes for now, by seconds).
//! Only builds with debug assertions hold any of it; in a release every function is an empty inline.

#[cfg(debug_assertions)]
pub use armed::{bug, clock_us, hits, io, is_armed, panic_if_armed, point, synced};
#[cfg(not(debug_assertions))]
pub use disarmed::{bug, clock_us, hits, io, is_armed, panic_if_armed, point, synced};

#[cfg(not(debug_assertions))]
mod disarmed {
    /// Does nothing in a release build.
    #[inline(always)]
    pub fn point(_name: &'static str) {}

    /// Never fails in a release build.
    #[inline(always)]
    pub fn io(_name: &'static str) -> std::io::Result<()> {
        Ok(())
    }

    /// Always false in a release build.
    #[inline(always)]
    pub fn bug(_name: &'static str) -> bool {
        false
    }

    /// Never panics in a release build.
    #[inline(always)]
    pub fn panic_if_armed(_name: &'static str) {}

    /// Always right in a release build.
    #[inline(always)]
    pub fn clock_us(now_us: u64) -> u64 {
        now_us
    }

    /// Always false in a release build.
    #[inline(always)]
    pub fn is_armed(_name: &'static str) -> bool {
        false
    }

    /// Only syncs in a release build.
    #[inline(always)]
    pub fn synced(
        _file: &std::fs::File,
        sync: impl FnOnce() -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        sync()
    }

    /// Always 0 in a release build.
    #[inline(always)]
    pub fn hits(_name: &str) -> u64 {
        0
    }
}

#[cfg(debug_assertions)]
mod armed {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::io::{self, Read as _, Write as _};
    use std::os::fd::AsRawFd as _;
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// Words for failures of calls, and the system's numbers of them.
    const FAILURES: [(&str, i32); 6] =
        [("eio", 5), ("enospc", 28), ("emfile", 24), ("enfile", 23), ("eintr", 4), ("eacces", 13)];

    /// What is armed, read once, and how often each name was passed.
    static FAULTS: OnceLock<Faults> = OnceLock::new();

    /// The armed plan and the hit counters.
    struct Faults {
        plan: Vec<Fault>,
        hits: Mutex<BTreeMap<String, u64>>,
    }

    /// One entry of `CONTACTD_FAULT`.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) struct Fault {
        pub(super) kind: Kind,
        pub(super) name: String,
        /// `None`: every hit.
        pub(super) hit: Option<u64>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(super) enum Kind {
        Kill,
        /// A call fails with this error of the system.
        Fail(i32),
        Bug,
        Panic,
        /// Its name is a direction, its hit a number of seconds.
        Clock,
        /// Its name is a directory.
        Power,
    }

    impl Faults {
        fn from_environment() -> Self {
            let text = std::env::var("CONTACTD_FAULT").unwrap_or_default();
            Self { plan: parse(&text), hits: Mutex::new(BTreeMap::new()) }
        }

        /// Counts a hit and returns its number, from 1.
        fn hit(&self, prefix: &str, name: &str) -> u64 {
            let mut hits = self.hits.lock().unwrap_or_else(PoisonError::into_inner);
            let count = hits.entry(format!("{prefix}{name}")).or_insert(0);
            *count += 1;
            *count
        }

        fn armed<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Fault> {
            self.plan.iter().filter(move |fault| fault.name == name)
        }
    }

    fn faults() -> &'static Faults {
        FAULTS.get_or_init(Faults::from_environment)
    }

    /// Entries that do not parse are ignored: a fault that never fires fails its own test.
    pub(super) fn parse(text: &str) -> Vec<Fault> {
        text.split(',').filter_map(|entry| parse_one(entry.trim())).collect()
    }

    fn parse_one(entry: &str) -> Option<Fault> {
        let mut parts = entry.split(':');
        let kind = match parts.next()? {
            "kill" => Kind::Kill,
            "bug" => Kind::Bug,
            "panic" => Kind::Panic,
            "clock" => Kind::Clock,
            "power" => Kind::Power,
            word => Kind::Fail(FAILURES.iter().find(|(known, _)| *known == word)?.1),
        };
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let hit = match parts.next() {
            None | Some("*") => None,
            Some(number) => Some(number.parse().ok()?),
        };
        Some(Fault { kind, name, hit })
    }

    /// Kills this process with SIGKILL when this hit of `name` is armed.
    pub fn point(name: &'static str) {
        let faults = faults();
        if faults.plan.is_empty() {
            return;
        }
        let count = faults.hit("", name);
        let fatal = faults
            .armed(name)
            .any(|fault| fault.kind == Kind::Kill && fault.hit.is_none_or(|hit| hit == count));
        if fatal {
            kill_this_process(name);
        }
    }

    /// Becomes a shell that kills itself: exec ends every other thread at once, keeps the process
    /// id, and the parent sees a plain SIGKILL. Nothing is unwound or flushed.
    fn kill_this_process(name: &str) -> ! {
        let error = Command::new("/bin/sh").args(["-c", "kill -KILL $$"]).exec();
        let _ = writeln!(io::stderr(), "fault: could not kill this process at {name}: {error}");
        std::process::abort()
    }

    /// Fails when this hit of `name` is armed.
    ///
    /// # Errors
    /// Only the injected one.
    pub fn io(name: &'static str) -> io::Result<()> {
        let faults = faults();
        if faults.plan.is_empty() {
            return Ok(());
        }
        let count = faults.hit("io:", name);
        for fault in faults.armed(name) {
            if fault.hit.is_some_and(|hit| hit != count) {
                continue;
            }
            match fault.kind {
                Kind::Fail(number) => return Err(io::Error::from_raw_os_error(number)),
                Kind::Kill | Kind::Bug | Kind::Panic | Kind::Clock | Kind::Power => {}
            }
        }
        Ok(())
    }

    /// Panics where that is armed: a task of that name.
    #[expect(clippy::panic, reason = "that is what is asked for")]
    pub fn panic_if_armed(name: &'static str) {
        if faults().armed(name).any(|fault| fault.kind == Kind::Panic) {
            panic!("the fault panic:{name}");
        }
    }

    /// Whether the deliberate mistake `name` is let in.
    pub fn bug(name: &'static str) -> bool {
        faults().armed(name).any(|fault| fault.kind == Kind::Bug)
    }

    /// The time, as far off as the clock of this process is set wrong.
    pub fn clock_us(now_us: u64) -> u64 {
        let off_us = |name| {
            let armed = faults().armed(name).filter(|fault| fault.kind == Kind::Clock);
            armed.filter_map(|fault| fault.hit).sum::<u64>().saturating_mul(1_000_000)
        };
        now_us.saturating_add(off_us("ahead")).saturating_sub(off_us("behind"))
    }

    /// Whether a kill is armed at `name` (at any hit), for points that cost something to reach.
    pub fn is_armed(name: &'static str) -> bool {
        faults().armed(name).any(|fault| fault.kind == Kind::Kill)
    }

    /// Runs `sync`, and where `power:DIR` is armed keeps a copy of what it made durable: the file as
    /// long as it was before, for what came meanwhile may not be.
    ///
    /// # Errors
    /// Those of `sync`, and of making the copy.
    pub fn synced(file: &File, sync: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let power = faults().plan.iter().find(|fault| fault.kind == Kind::Power);
        let Some(power) = power else {
            return sync();
        };
        let bytes = file.metadata()?.len();
        sync()?;
        let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let name = path.display().to_string().replace('/', "%");
        let copy = Path::new(&power.name).join(&name);
        let new = Path::new(&power.name).join(name + ".new");
        // Whole or not there: a kill may come meanwhile.
        io::copy(&mut File::open(&path)?.take(bytes), &mut File::create(&new)?)?;
        fs::rename(&new, &copy)
    }

    /// How often the kill point `name` was passed by this process.
    pub fn hits(name: &str) -> u64 {
        let hits = faults().hits.lock().unwrap_or_else(PoisonError::into_inner);
        hits.get(name).copied().unwrap_or(0)
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::armed::{Fault, Kind, parse};

    #[test]
    fn a_list_is_read_and_nonsense_is_left_out() {
        let plan = parse(
            "kill:journalled:3, eio:journal_sync:*,bug:record_clock,kill:,what:x:1,clock:ahead:60,kill:a:b",
        );
        let fault = |kind, name: &str, hit| Fault { kind, name: name.to_owned(), hit };
        assert_eq!(
            plan,
            [
                fault(Kind::Kill, "journalled", Some(3)),
                fault(Kind::Fail(5), "journal_sync", None),
                fault(Kind::Bug, "record_clock", None),
                fault(Kind::Clock, "ahead", Some(60)),
            ]
        );
    }

    /// Run by itself it does nothing; the test below runs it in a child that is armed.
    #[test]
    fn passes_a_point_three_times() {
        for hit in 1..=3 {
            super::point("child");
            eprintln!("passed {hit}");
        }
        assert!(!super::is_armed("child"), "the child should be dead");
    }

    #[test]
    fn the_armed_hit_kills_the_process_at_once() {
        use std::os::unix::process::ExitStatusExt as _;
        let this = std::env::current_exe().unwrap();
        let child = std::process::Command::new(this)
            .args(["--nocapture", "passes_a_point_three_times"])
            .env("CONTACTD_FAULT", "kill:child:2")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stderr);
        assert_eq!(child.status.signal(), Some(9), "{said}");
        assert!(said.contains("passed 1") && !said.contains("passed 2"), "{said}");
    }

    #[test]
    fn nothing_armed_means_nothing_happens() {
        super::point("never_armed");
        assert!(super::io("never_armed").is_ok());
        assert!(!super::bug("never_armed"));
        assert_eq!(super::clock_us(7), 7);
    }
}
