#!/bin/sh
# Packs documents/ under the name of the input; an archive exists whole or not at all.
set -eu
mkdir -p archives
target="archives/$OTA_INPUT_NAME.tar.gz"
tar -cf - "$BACKUP_SOURCE" | gzip "-$OTA_INPUT_LEVEL" > "$target.partial"
mv "$target.partial" "$target"
echo "packed $target (label $BACKUP_LABEL)"
