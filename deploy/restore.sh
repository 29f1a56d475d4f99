#!/bin/sh
# restore.sh DUMP [PHASE]: restore a dump of backup.sh, and the proofs that lie beside it, into the empty
# database at DATABASE_URL and into PROOF_DIR or PROOF_STORE. Start the service afterwards. If it fails, run
# it again; it does not change a database that is not empty. The phases are `verify` and `database`: between
# them, proofs are copied to a bucket; see backup.sh.
set -eu
umask 077
here=$(dirname "$0")
dump=$1
phase=${2:-all}
proofs=$(dirname "$dump")/proofs
: "${DATABASE_URL:?is not set}" "${PROOF_STORE:=file://${PROOF_DIR:?or PROOF_STORE is not set}}"

copy_files() {
    mkdir -p "$1"
    find "$proofs" -maxdepth 1 -type f ! -name '*.part' |
        while IFS= read -r proof; do
            copy=$1/${proof##*/}
            [ -e "$copy" ] || { cp "$proof" "$copy.part" && mv "$copy.part" "$copy"; }
        done
}

[ "$phase" = database ] || "$here/verify-backup.sh" "$dump" "$proofs"
if [ "$phase" = all ]; then
    # Proofs first, with the current time: the sweep keeps them for a day, until the database names them.
    case $PROOF_STORE in
        file://*) copy_files "${PROOF_STORE#file://}" ;;
        *) "${PYTHON:-python}" -m app proof copy --no-database "$proofs" "$PROOF_STORE" >&2 ;;
    esac
fi
[ "$phase" != verify ] || exit 0
pg_restore --dbname="$DATABASE_URL" --single-transaction --exit-on-error --no-owner --no-privileges \
    "$dump"
# Clients may have seen what happened after the dump. Invoices will reach the same revisions again with
# other content, and must not get the same entity tags.
psql --dbname="$DATABASE_URL" --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --command="
    UPDATE reference_revision
    SET revision = greatest(revision + 1, extract(epoch FROM clock_timestamp())::bigint);
    -- A dump of an older release lacks the column.
    DO \$\$
    BEGIN
        IF EXISTS (
            SELECT FROM information_schema.columns
            WHERE table_name = 'reference_revision' AND column_name = 'restored'
        ) THEN
            UPDATE reference_revision SET restored = extract(epoch FROM clock_timestamp())::bigint;
        END IF;
    END
    \$\$" \
    --command=ANALYZE
