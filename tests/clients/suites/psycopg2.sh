#!/usr/bin/env bash
# psycopg2's own tests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1 results=$2
version=2.9.13
python=$("$here/sdist" "$directory" psycopg2-binary "$version" psycopg2-binary=="$version")
PSYCOPG2_TESTDB=$PGDATABASE "$python" "$here/unittests.py" "$directory/tests" "$results"
