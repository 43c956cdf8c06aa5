"""The programs; importing a module of them puts it into the table."""

from support.registry import PROGRAMS

from . import bridge, events, feeds, letters, replicas, signing_in, storm, topics, topology, writes

__all__ = [
    "PROGRAMS",
    "bridge",
    "events",
    "feeds",
    "letters",
    "replicas",
    "signing_in",
    "storm",
    "topics",
    "topology",
    "writes",
]
