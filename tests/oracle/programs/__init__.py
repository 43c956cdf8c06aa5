"""The programs; importing a module of them puts it into the table."""

from support.registry import PROGRAMS

from . import (
    backups,
    bridge,
    clocks,
    control,
    events,
    feeds,
    letters,
    replicas,
    rules,
    signing_in,
    storm,
    topics,
    topology,
    writes,
)

__all__ = [
    "PROGRAMS",
    "backups",
    "bridge",
    "clocks",
    "control",
    "events",
    "feeds",
    "letters",
    "replicas",
    "rules",
    "signing_in",
    "storm",
    "topics",
    "topology",
    "writes",
]
