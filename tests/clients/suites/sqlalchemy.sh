#!/usr/bin/env bash
# The tests that SQLAlchemy has for every dialect, through psycopg2.
set -euo pipefail
directory=$1 results=$2
version=2.0.58
if [ "$(cat "$directory/version" 2>/dev/null)" != "$version" ]; then
    rm -rf "$directory"
    mkdir -p "$directory/source"
    python3 -m venv "$directory/venv"
    pip() { "$directory/venv/bin/pip" "$@" --quiet --disable-pip-version-check; }
    pip install "SQLAlchemy==$version" psycopg2-binary pytest
    pip download --no-deps --no-binary SQLAlchemy --dest "$directory" "SQLAlchemy==$version"
    tar -xzf "$directory"/*.tar.gz -C "$directory/source" --strip-components 1
    echo "$version" >"$directory/version"
fi
cd "$directory/source"
# As its documentation asks.
psql --quiet --command 'CREATE SCHEMA test_schema' --command 'CREATE SCHEMA test_schema_2'
status=0
"$directory/venv/bin/python" -m pytest test/dialect/test_suite.py -q -p no:cacheprovider \
    --dburi "postgresql+psycopg2://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/$PGDATABASE" \
    -rA --tb=short --maxfail=5000 >"$directory/output" || status=$?
# An id is one word here.
awk -v suite='test/dialect/test_suite.py::' '
    ($1 == "PASSED" || $1 == "FAILED" || $1 == "ERROR") && index($2, suite) == 1 {
        passed = $1 == "PASSED"
        id = substr($0, length($1) + 2 + length(suite))
        cause = ""
        if (!passed && (at = index(id, " - "))) {
            cause = substr(id, at + 3)
            id = substr(id, 1, at - 1)
        }
        gsub(" ", "_", id)
        # Which driver and server it was run with.
        sub("_postgresql[+]psycopg2_[0-9_]+", "", id)
        print passed ? "pass" : "fail", id, cause
    }' "$directory/output" >"$results"
# 1: some tests failed.
[ "$status" -le 1 ]
