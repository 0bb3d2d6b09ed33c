#!/bin/sh
# Reads every archive to its end.
set -eu
count=0
for archive in archives/*.tar.gz; do
    [ -e "$archive" ] || break
    tar -tzf "$archive" > /dev/null
    count=$((count + 1))
done
echo "$count archives can be read"
[ "$count" -gt 0 ]
