#!/bin/sh
# SPDX-License-Identifier: MIT
# Replays the complete reference files when they lie next to the source tree.
# full.sh SPUR_PARITY SOURCE_ROOT; exits 77 (skipped) when they do not.
dir="$2/../shared/parity"
if [ ! -d "$dir" ]; then
    echo "skipped: no reference files in $dir"
    exit 77
fi
exec "$1" "$dir"/*.json
