#!/bin/sh
# backup.sh FOLDER [PHASE]: back up the database at DATABASE_URL and the proofs in PROOF_DIR or PROOF_STORE,
# while the service runs. FOLDER gets a new file each time, as 2026-11-24T030000Z.dump, and each proof once,
# in proofs/. pg_dump must be of the server's major version, or newer. Proofs of a bucket are copied by
# `python -m app proof copy`, with the PYTHON that has the service; where it is not, as beside pg_dump in a
# container, call the phases `dump` and `finish`, and copy the proofs in between.
#
# The database is dumped first: a proof exists before its payment is recorded, and stays while a
# payment names it. So the proofs that are copied afterwards include that of each payment in the dump.
set -eu
umask 077
here=$(dirname "$0")
folder=$1
phase=${2:-all}
: "${DATABASE_URL:?is not set}" "${PROOF_STORE:=file://${PROOF_DIR:?or PROOF_STORE is not set}}"
mkdir -p "$folder/proofs"

copy_files() {
    # A proof never changes. A copy gets its name last, so an interrupted copy is never used.
    [ ! -d "$1" ] || find "$1" -maxdepth 1 -type f ! -name '*.part' |
        while IFS= read -r proof; do
            copy=$folder/proofs/${proof##*/}
            [ -e "$copy" ] || if cp "$proof" "$folder/.proof"; then
                mv "$folder/.proof" "$copy"
            elif [ -e "$proof" ]; then
                exit 1
            fi # else no payment named it, and the sweep removed it
        done
}

if [ "$phase" != finish ]; then
    pg_dump --dbname="$DATABASE_URL" --format=custom --no-owner --no-privileges \
        --file="$folder/.$(date -u +%Y-%m-%dT%H%M%SZ).dump"
fi
if [ "$phase" = all ]; then
    case $PROOF_STORE in
        file://*) copy_files "${PROOF_STORE#file://}" ;;
        *) "${PYTHON:-python}" -m app proof copy "$PROOF_STORE" "$folder/proofs" >&2 ;;
    esac
fi
if [ "$phase" != dump ]; then
    dump=$(find "$folder" -maxdepth 1 -name '.*.dump' | sort | tail -n 1)
    name=${dump##*/.}
    "$here/verify-backup.sh" "$dump" "$folder/proofs"
    mv "$dump" "$folder/$name"
    echo "$folder/$name"
fi
