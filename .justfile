# The steps themselves live in .ci/run, which works without just.

# Show what there is.
default:
    @just --list

# Run it: embedded log, demo events, data in .contactd/.
dev *arguments:
    cargo run --release -- dev {{ arguments }}

# Everything that must hold before a change lands.
ci *arguments:
    .ci/run {{ arguments }}

# The tests that need nothing but this machine.
test *arguments:
    cargo test --locked {{ arguments }}

# Format and lint.
lint:
    cargo fmt --all
    cargo clippy --locked --all-targets -- -D warnings

# Write the reference pages anew.
docs:
    cargo run -- docs docs/reference

# Licences, sources and known faults of the dependencies (needs cargo-deny).
deny:
    cargo deny --config .deny.toml check
