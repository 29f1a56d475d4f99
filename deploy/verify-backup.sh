#!/bin/sh
# verify-backup.sh DUMP PROOFS: check that a dump is readable, and that the directory has each proof that
# its payments name, with the right digest. Prints the others; the exit code is 0 if there are none.
set -eu
dump=$1
proofs=$2

pg_restore --file=/dev/null "$dump"
# Keys and digests of the proofs, found by column name, for sha256sum.
digests=$(pg_restore --data-only --table=payments --file=- "$dump" | awk -F '\t' '
    /^COPY / {
        list = $0; sub(/^[^(]*\(/, "", list); sub(/\).*/, "", list)
        count = split(list, names, ", ")
        for (i = 1; i <= count; i++) column[names[i]] = i
        rows = 1; next
    }
    /^\\\.$/ { rows = 0 }
    rows && $column["proof_key"] != "\\N" { print $column["proof_sha256"] "  " $column["proof_key"] }
')
[ -z "$digests" ] || (cd "$proofs" && printf '%s\n' "$digests" | sha256sum --check --quiet --strict)
