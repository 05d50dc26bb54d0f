#!/usr/bin/env bash
# tokio-postgres' own tests, from its package.
set -euo pipefail
directory=$1 results=$2
version=0.7.18
if [ "$(cat "$directory/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$directory"
    mkdir -p "$directory/fetch/src"
    cat >"$directory/fetch/Cargo.toml" <<MANIFEST
[package]
name = "fetch"
version = "0.0.0"
edition = "2024"

[dependencies]
tokio-postgres = "=$version"

[workspace]
MANIFEST
    touch "$directory/fetch/src/lib.rs"
    (cd "$directory/fetch" && cargo vendor --quiet vendored >/dev/null)
    mv "$directory/fetch/vendored/tokio-postgres" "$directory/package"
    rm -r "$directory/fetch"
    echo "$version" >"$directory/version"
fi
# They look for a server of their own.
server="user=$PGUSER password=$PGPASSWORD dbname=$PGDATABASE"
find "$directory/package/tests" -name '*.rs' -exec sed -i \
    -e "s/user=postgres/$server/g" \
    -e "s/user=pass_user dbname=postgres password=password/$server/g" \
    -e "s/5433/$PGPORT/g" {} +
cd "$directory/package"
grep -q '^\[workspace\]' Cargo.toml || printf '\n[workspace]\n' >>Cargo.toml
export CARGO_TARGET_DIR=$directory/target RUST_BACKTRACE=0
cargo test --quiet --test test --all-features --no-run
status=0
cargo test --test test --all-features -- --test-threads 1 >"$directory/output" 2>&1 || status=$?
awk '
    $1 == "test" && $3 == "..." {
        word = $4 == "ok" ? "pass" : $4 == "ignored" ? "skip" : "fail"
        print word, $2
    }' "$directory/output" | sort -u >"$results"
# 101: some tests failed.
[ "$status" -eq 0 ] || [ "$status" -eq 101 ]
