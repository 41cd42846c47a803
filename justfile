# The front door. Everything with logic is Rust in `xtask`; these are names for it.

# Lists the recipes.
default:
    @just --list

# Starts Affluent on its embedded default.
start *args:
    cargo xtask start {{args}}

# Runs the whole test suite.
test *args:
    cargo xtask test {{args}}

# What must hold before a commit, without starting a broker.
check: tidy clippy fmt

# Crate edges, file and function sizes, headers, links.
tidy *args:
    cargo xtask tidy {{args}}

# Lints of all code, tests included.
clippy:
    cargo clippy --workspace --all-targets -- -D warnings

# Formatting, checked and not changed.
fmt:
    cargo fmt --all --check

# Writes the Kafka messages from their specification; `just codegen --check` compares.
codegen *args:
    cargo xtask codegen {{args}}

# Real clients against Affluent and Apache Kafka, such as `just compat --client kcat`.
compat *args:
    cargo xtask compat {{args}}

# Affluent and Apache Kafka in turns, such as `just bench --help`.
bench *args:
    cargo xtask bench {{args}}

# Kills, full disks, damaged files and malformed frames, such as `just chaos --help`.
chaos *args:
    cargo xtask chaos {{args}}

# Licences, advisories and sources of dependencies; needs cargo-deny.
deny:
    cargo deny check

# The gate, as it runs on each change.
ci:
    .ci/run
