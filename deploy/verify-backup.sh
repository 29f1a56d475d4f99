#!/bin/sh
# verify-backup.sh DUMP PROOFS: tell by the exit code whether a dump can be read and the folder holds each
# proof that its payments name, unharmed; name those that it does not.
set -eu
dump=$1
proofs=$2

pg_restore --file=/dev/null "$dump"
# Keys and digests of the proofs, by the names of the columns, for sha256sum.
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
