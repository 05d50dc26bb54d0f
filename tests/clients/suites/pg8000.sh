#!/usr/bin/env bash
# pg8000's own tests, but for those of its benchmarks and of other ways to log in.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=$1 results=$2
version=1.31.6
python=$("$here/sdist" "$directory" pg8000 "$version" \
    pg8000=="$version" pytest pytest-mock pytest-timeout pytz)
# They log in as a user, and to a database, that are not named in the environment.
sed -i 's/"user": "postgres", /"user": environ["PGUSER"], "database": environ["PGDATABASE"], /' \
    "$directory"/test/*/conftest.py
cd "$directory"
"$here/pytests" "$python" "$results" test --ignore-glob='*auth*' --ignore-glob='*benchmarks*' \
    --timeout 40
