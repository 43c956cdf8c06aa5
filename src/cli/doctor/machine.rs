//! The configuration, and this machine: clock, disk, descriptors, permissions, certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::app;
use crate::config::units::format_duration;
use crate::http::Tls;
use crate::ingest::{STAMP_FILE, now_ms};
use crate::store::free_bytes;

use super::finding::Finding;
use super::setup::Setup;

/// What clocks may be apart.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);
/// How long before its end a certificate is warned of.
const CERTIFICATE_WARNING_S: u64 = 30 * 24 * 60 * 60;
const CERTIFICATE_FAULT_S: u64 = 3 * 24 * 60 * 60;
/// So many times `store.min_free_bytes` should be free.
const FREE_TIMES: u64 = 2;

pub(super) fn configuration(setup: &mut Setup) -> Finding {
    match app::check(&setup.config, setup.wrong.clone()) {
        Ok(()) if setup.config.warnings.is_empty() => Finding::right("serve could start with it"),
        Ok(()) => Finding::warning(setup.config.warnings.join("; ")),
        Err(errors) => {
            let told: Vec<String> = errors.0.iter().map(ToString::to_string).collect();
            Finding::fault(told.join("; "))
        }
    }
}

/// Against what was stamped here before, Redis, and the newest record.
pub(super) fn clock(setup: &mut Setup) -> Finding {
    let mut others: Vec<(&str, u64)> = Vec::new();
    others.extend(
        stamped_ms(&setup.config.store.path).map(|ms| ("what was stamped here before", ms)),
    );
    let now = now_ms();
    let mut noticed = Vec::new();
    let Setup { config, runtime, .. } = setup;
    if let Some(redis) = super::services::redis_time_ms(config, runtime)
        && redis.abs_diff(now) > ms_of(CLOCK_TOLERANCE)
    {
        let apart = apart(redis, now);
        noticed.push(Finding::warning(format!("it and that of Redis are {apart} apart")));
    }
    if let Ok(log) = setup.topic() {
        others.extend(log.newest_time_ms().ok().flatten().map(|ms| ("the newest record", ms)));
    }
    for (what, ms) in others {
        if ms > now.saturating_add(ms_of(CLOCK_TOLERANCE)) {
            noticed.push(Finding::warning(format!("it is {} behind {what}", apart(ms, now))));
        }
    }
    Finding::worst_of(noticed, "nothing here is ahead of it")
}

/// The time up to which stamps are reserved.
fn stamped_ms(store: &Path) -> Option<u64> {
    let text = fs::read_to_string(store.join(STAMP_FILE)).ok()?;
    text.trim().parse::<u64>().ok().map(|us| us / 1000)
}

fn ms_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn apart(one: u64, other: u64) -> String {
    format_duration(Duration::from_secs(one.abs_diff(other) / 1000))
}

pub(super) fn disk(setup: &mut Setup) -> Finding {
    let min_free = setup.config.store.min_free_bytes;
    let mut noticed = Vec::new();
    let mut right = Vec::new();
    for directory in setup.config.data_directories() {
        let Some(free) = there(directory).and_then(|path| free_bytes(&path).ok()) else {
            noticed.push(Finding::warning(format!("{}: can't be looked at", directory.display())));
            continue;
        };
        let text = format!("{}: {} MiB free", directory.display(), free >> 20);
        if free < min_free {
            let text = format!("{text}, below store.min_free_bytes: applying is paused");
            noticed.push(Finding::fault(text));
        } else if free < min_free.saturating_mul(FREE_TIMES) {
            noticed.push(Finding::warning(format!("{text}, near store.min_free_bytes")));
        }
        right.push(text);
    }
    Finding::worst_of(noticed, right.join("; "))
}

/// The directory, or that in which it would be made.
fn there(directory: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(directory).ok()?;
    absolute.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
}

pub(super) fn descriptors(setup: &mut Setup) -> Finding {
    let wanted = setup.config.server.connections_max;
    let possible = app::connections_possible(wanted);
    if possible < wanted {
        let text =
            format!("they suffice for {possible} connections; server.connections_max is {wanted}");
        return Finding::warning(text);
    }
    Finding::right(format!("they suffice for {wanted} connections"))
}

pub(super) fn permissions(setup: &mut Setup) -> Finding {
    let config = &setup.config;
    let mut secret: Vec<(String, PathBuf)> =
        config.secret_files().into_iter().map(|(key, path)| (key, path.to_owned())).collect();
    secret.push(("auth.users_file".to_owned(), config.auth.users_file.clone()));
    secret.extend(
        config.server.tls.as_ref().map(|tls| ("server.tls_key".to_owned(), tls.key.clone())),
    );
    secret.extend(
        config.kafka.ssl_key_location.clone().map(|key| ("kafka.ssl_key_location".to_owned(), key)),
    );
    let mut noticed: Vec<Finding> = secret
        .iter()
        .filter(|(_, path)| is_open_to_others(path))
        .map(|(key, path)| Finding::warning(format!("{key}: others may read {}", path.display())))
        .collect();
    for directory in config.data_directories() {
        let open = app::open_to_others(directory);
        if let Some(first) = open.first() {
            let text = format!(
                "{}: {} files or directories are open to others, {} for one",
                directory.display(),
                open.len(),
                first.display()
            );
            noticed.push(Finding::warning(text));
        }
    }
    Finding::worst_of(
        noticed,
        format!("{} files with secrets and the data are their owner's alone", secret.len()),
    )
}

fn is_open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|at| at.permissions().mode() & 0o077 != 0)
}

pub(super) fn certificate(setup: &mut Setup) -> Finding {
    let Some(files) = &setup.config.server.tls else {
        return Finding::not_looked("there is none: server.tls_certificate is empty");
    };
    match Tls::load(&files.certificate, &files.key) {
        Ok(tls) => match tls.not_after().and_then(|end| u64::try_from(end).ok()) {
            Some(end) => ends(end, now_ms() / 1000),
            None => Finding::warning("its end can't be read"),
        },
        Err(error) => Finding::fault(error.to_string()),
    }
}

fn ends(end_s: u64, now_s: u64) -> Finding {
    let left = end_s.saturating_sub(now_s);
    let text = format!("it ends in {}", format_duration(Duration::from_secs(left / 60 * 60)));
    match left {
        0 => Finding::fault("it has ended: clients refuse it"),
        1..CERTIFICATE_FAULT_S => Finding::fault(text),
        CERTIFICATE_FAULT_S..CERTIFICATE_WARNING_S => Finding::warning(text),
        _ => Finding::right(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Severity;

    #[test]
    fn a_certificate_is_warned_of_before_it_ends() {
        let severity = |left: u64| ends(1_000_000_000 + left, 1_000_000_000).severity;
        assert_eq!(severity(90 * 86_400), Severity::Right);
        assert_eq!(severity(20 * 86_400), Severity::Warning);
        assert_eq!(severity(86_400), Severity::Fault);
        assert_eq!(ends(5, 9).severity, Severity::Fault);
    }
}
