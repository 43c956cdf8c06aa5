"""Deliberate mistakes of the program under test: an oracle that can't fail shows nothing.

A debug build lets a mistake in by `CONTACTD_FAULT=bug:NAME`. Each is given to a program that is green
without it, and must make it red by one of the violations that it is expected to cause.
"""

# (mistake, program, the violations that show it)
MISTAKES = [
    ("clock_from_record_timestamp", "event_orders", ("export_", "order_")),
    ("offsets_apart", "transactions", ("verdict",)),
    ("bridge_commits_first", "bridge_killed", ("all_bridged", "untimed_in_order_once")),
    ("bridge_forgets_repeats", "bridge_killed", ("untimed_in_order_once",)),
]
# `sled_before_sync` and `counters_at_write` show only where the power goes: tests/crash has them.


def notice(runner, programs):
    """Prints each and N of N; 0 when all were noticed."""
    noticed = 0
    for mistake, name, expected in MISTAKES:
        result = runner.run(programs[name], 1, fault=f"bug:{mistake}")
        kinds = [kind for kind in result["violations"] if kind.startswith(expected)]
        noticed += bool(kinds)
        told = ", ".join(f"{kind} ×{result['violations'][kind]}" for kind in kinds[:4])
        print(f"{mistake:<32} by {name:<20} {'noticed' if kinds else 'UNNOTICED':<10} {told}", flush=True)
        if not kinds:
            print("    instead:", result["violations"], flush=True)
    print(f"{noticed} of {len(MISTAKES)} deliberate mistakes noticed")
    return 0 if noticed == len(MISTAKES) else 1
