//! The table: every check, in the order in which they are told.

use super::finding::Finding;
use super::setup::Setup;
use super::{instance, kafka, machine, services};

/// One thing that may be wrong.
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) look: fn(&mut Setup) -> Finding,
    /// What to do where it is.
    pub(super) advice: &'static str,
}

const fn check(name: &'static str, look: fn(&mut Setup) -> Finding, advice: &'static str) -> Check {
    Check { name, look, advice }
}

pub(super) const CHECKS: &[Check] = &[
    check(
        "configuration",
        machine::configuration,
        "set what is named; `contactd config check` lists the same, `config print` says where each value comes from",
    ),
    check(
        "brokers",
        kafka::brokers,
        "check kafka.brokers, the network and the brokers' listeners; with TLS or SASL kafka.security_protocol, ssl_ca_location and sasl_*",
    ),
    check(
        "topic",
        kafka::topic,
        "`contactd topics ensure` makes it as it must be; `--yes` takes compaction off one that has it",
    ),
    check(
        "partitions",
        kafka::partitions,
        "bring the brokers back that hold the copies, or move the partitions; 3 copies with min.insync.replicas=2 outlast a broker",
    ),
    check(
        "control_topic",
        kafka::control_topic,
        "`contactd topics ensure` makes it; one with several partitions or compaction must be made anew: `contactd topics adopt-control` fills it",
    ),
    check(
        "retention",
        kafka::retention,
        "raise retention.ms of the topic, or find out why applying is behind: what is dropped before it is applied can't be applied any more",
    ),
    check(
        "rights",
        kafka::rights,
        "give the principal Read, Write, Describe and DescribeConfigs on both topics: docs/kafka.md has the commands",
    ),
    check(
        "writers",
        kafka::writers,
        "let only contactd write the control topic, and only producers you know the contact topic: docs/kafka.md, \"Who may write the topics\"",
    ),
    check(
        "partitioner",
        kafka::partitioner,
        "let producers use the partitioner of the founding, or keep bridge.rehome on, which brings their records home",
    ),
    check(
        "clock",
        machine::clock,
        "let NTP or chrony set the clocks of this machine and of the producers: the newer value of a field wins by its time",
    ),
    check(
        "disk",
        machine::disk,
        "make room, or take a larger disk; store.journal_retention_bytes and store.dead_letters_bytes bound what is kept",
    ),
    check(
        "descriptors",
        machine::descriptors,
        "raise the limit of open files (ulimit -n, LimitNOFILE=), or lower server.connections_max",
    ),
    check(
        "permissions",
        machine::permissions,
        "take it away from others: chmod 600 for files, chmod -R go= for directories",
    ),
    check(
        "certificate",
        machine::certificate,
        "put the new certificate and key in the place of the old ones: they are read again without a restart",
    ),
    check(
        "redis",
        services::redis,
        "check redis.* and the network; until it answers each instance counts limits by itself",
    ),
    check(
        "schema_registry",
        services::schema_registry,
        "check schema_registry.* and the network; until it answers records with schemas that are not known wait",
    ),
    check(
        "instance",
        instance::ready,
        "the parts say what they wait for; `contactd status` shows figures, the log says more",
    ),
    check(
        "lag",
        instance::lag,
        "look at the disk and at what applying waits for (`contactd status`); a burst passes by itself",
    ),
    check(
        "dependencies",
        instance::dependencies,
        "bring back what is away: the checks above say why where it can be seen from here",
    ),
    check(
        "rules",
        instance::rules,
        "compare the files of the instances; `contactd config adopt` lets this one's hold for all records from there on",
    ),
    check(
        "followers",
        instance::followers,
        "`contactd follower show NAME` says why; `follower parked NAME` lists what was refused, `resume` lets a paused one go on",
    ),
    check(
        "dead_letters",
        instance::dead_letters,
        "`contactd dlq list` shows them; mend the cause, then `contactd dlq redrive`",
    ),
    check(
        "webhooks",
        instance::webhooks,
        "compare source.<name>.secret with what the sender signs with; secret_previous takes the old one for as long as both are in use",
    ),
    check(
        "replicas",
        instance::replicas,
        "stop the one that differs, `contactd store verify` it, and fill it anew: `contactd restore --from URL`",
    ),
];
