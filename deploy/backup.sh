#!/bin/sh
# backup.sh FOLDER: back up the database at DATABASE_URL and the proofs in PROOF_DIR, while the service
# runs. FOLDER gets a new file each time, as 2026-11-24T030000Z.dump, and each proof once, in proofs/.
# pg_dump must be of the server's major version, or newer.
#
# The database is dumped first: a proof exists before its payment is recorded, and stays while a
# payment names it. So the proofs that are copied afterwards include that of each payment in the dump.
set -eu
umask 077
here=$(dirname "$0")
folder=$1
: "${DATABASE_URL:?is not set}" "${PROOF_DIR:?is not set}"

mkdir -p "$folder/proofs"
name=$(date -u +%Y-%m-%dT%H%M%SZ)
pg_dump --dbname="$DATABASE_URL" --format=custom --no-owner --no-privileges \
    --file="$folder/.$name.dump"

# A proof never changes. A copy gets its name last, so an interrupted copy is never used.
[ ! -d "$PROOF_DIR" ] || find "$PROOF_DIR" -maxdepth 1 -type f ! -name '*.part' |
    while IFS= read -r proof; do
        copy=$folder/proofs/${proof##*/}
        [ -e "$copy" ] || if cp "$proof" "$folder/.proof"; then
            mv "$folder/.proof" "$copy"
        elif [ -e "$proof" ]; then
            exit 1
        fi # else no payment named it, and the sweep removed it
    done

"$here/verify-backup.sh" "$folder/.$name.dump" "$folder/proofs"
mv "$folder/.$name.dump" "$folder/$name.dump"
echo "$folder/$name.dump"
