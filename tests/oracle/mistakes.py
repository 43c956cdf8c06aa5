"""Deliberate mistakes of the program under test: an oracle that can't fail shows nothing.

A debug build lets a mistake in by `CONTACTD_FAULT=bug:NAME`. Each breaks another promise, is given to a
program that is green without it, and must make it red by one of the violations that it is expected to cause.
"""

# (mistake, program, the violations that show it)
MISTAKES = [
    # An event's clock is made of its own bytes alone.
    ("clock_from_record_timestamp", "event_orders", ("export_", "order_")),
    # What a batch did and how far the log was read are one append.
    ("offsets_apart", "killed_at_commit", ("verdict",)),
    # An input's offsets are committed once its events are acknowledged, and what is read again is known.
    ("bridge_commits_first", "bridge_killed", ("all_bridged", "untimed_in_order_once")),
    ("bridge_forgets_repeats", "bridge_killed", ("untimed_in_order_once",)),
    # A record away from its contact's home waits to be brought there.
    ("taken_where_it_stands", "partitioner_late", ("verdicts", "export_", "read_your_writes")),
    # Rules hold from their marker on, in the middle of a batch as well.
    ("rules_of_the_batch", "rules_adopted", ("verdicts", "digests_equal", "export_")),
    # A command carries its client's own condition.
    ("conditions_left_out", "editors", ("one_winner",)),
    # A stamp lies behind all that is known of its contact.
    ("stamps_by_the_clock", "overtaken", ("who_knows_is_not_overtaken",)),
    # The verdict at the command's place is the answer.
    ("superseded_is_done", "overtaken", ("answer_is_the_verdict",)),
    # A command is done once, whichever way it comes again.
    ("attempts_forgotten", "editors", ("verdicts",)),
    # Control entries outlast their topic's retention.
    ("nothing_restated", "control_retention", ("new_one_learns", "revocation_outlasts", "ended_sign_in")),
    # What retention took before it was read is never passed over.
    ("gaps_passed_over", "topic_retention", ("unread_head_is_noticed",)),
]
# `sled_before_sync` and `counters_at_write` show only where the power goes: tests/crash has them.


def notice(runner, programs):
    """Prints each and N of N; 0 when all were noticed."""
    noticed = 0
    tasks = [(programs[name], 1, f"bug:{mistake}") for mistake, name, _ in MISTAKES]
    for (mistake, name, expected), result in zip(MISTAKES, runner.run(tasks)):
        kinds = [kind for kind in result["violations"] if kind.startswith(expected)]
        noticed += bool(kinds)
        told = ", ".join(f"{kind} ×{result['violations'][kind]}" for kind in kinds[:4])
        print(f"{mistake:<32} by {name:<20} {'noticed' if kinds else 'UNNOTICED':<10} {told}", flush=True)
        if not kinds:
            print("    instead:", result["violations"], flush=True)
    print(f"{noticed} of {len(MISTAKES)} deliberate mistakes noticed")
    return 0 if noticed == len(MISTAKES) else 1
