#!/usr/bin/env bash
# The tests that SQLAlchemy has for every dialect, through psycopg2.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
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
"$here/pytests" "$directory/venv/bin/python" "$results" test/dialect/test_suite.py \
    --dburi "postgresql+psycopg2://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/$PGDATABASE"
# Without which driver and server it was run with, and the one file's name.
sed -i -e 's/_postgresql[+]psycopg2_[0-9_]*//' -e 's,test/dialect/test_suite.py::,,' "$results"
