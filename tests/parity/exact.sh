#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a test that demands the reference's bits, under the MuJoCo that made them.
# exact.sh MUJOCO PROGRAM [ARGUMENT...]; exits 77 (skipped) under any other, where
# the same models move a little differently (docs/environments/built-in.md).
version="$1"
shift
if [ "$version" != 222 ]; then
    echo "skipped: other MuJoCo version ($version; the references are of 222, which is 2.2.2)"
    exit 77
fi
exec "$@"
