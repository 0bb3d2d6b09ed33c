#!/bin/sh
# Removes all but the newest archives.
set -eu
ls -t archives/*.tar.gz | tail -n "+$((BACKUP_KEEP + 1))" | while read -r old; do
    rm -- "$old"
    echo "removed $old"
done
