#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Shows that docs/results/plot draws the learning curve of a run, with positive and with negative returns, of a task
with and without published returns: the picture has the curve's colour across its width. Skipped without gnuplot."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

PLOT = os.path.join(os.environ["SPUR_SOURCE_ROOT"], "docs", "results", "plot")
CURVE = (0x94, 0x00, 0xd3)  # gnuplot's first colour


def rows_of(path):
    """The rows of a PNG file of 8-bit RGB, with its filters undone."""
    with open(path, "rb") as f:
        data = f.read()
    at, packed = 8, b""
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        if name == b"IHDR":
            width, _, depth, kind = struct.unpack(">IIBB", body[:10])
            assert depth == 8 and kind in (2, 6), (depth, kind)
        elif name == b"IDAT":
            packed += body
        at += 12 + length
    size = 3 if kind == 2 else 4
    raw, before, rows = zlib.decompress(packed), bytes(width * size), []
    for start in range(0, len(raw), width * size + 1):
        row = bytearray(raw[start + 1:start + 1 + width * size])
        for i, _ in enumerate(row):
            left, up, corner = row[i - size] if i >= size else 0, before[i], before[i - size] if i >= size else 0
            near = min((left, up, corner), key=lambda x, sum=left + up - corner: abs(sum - x))
            row[i] = (row[i] + (0, left, up, (left + up) // 2, near)[raw[start]]) % 256
        rows.append([tuple(row[i:i + 3]) for i in range(0, len(row), size)])
        before = row
    return rows


def main():
    if shutil.which("gnuplot") is None:
        print("skipped: there is no gnuplot")
        sys.exit(77)
    for task, returns in (("Pendulum", (-1400, -1200, -600, -180, -150)), ("Hopper", (20, 500, 1500, 3000, 3100)),
                          ("Mixed", (-80, -20, 30, 90, 95))):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "progress.csv"), "w", encoding="utf-8") as f:
                f.write("env_steps,wall_seconds,return_mean,return_std\n")
                f.writelines(f"{25000 * (i + 1)},{i},{value},1\n" for i, value in enumerate(returns))
            picture = os.path.join(folder, "curve.png")
            result = subprocess.run([PLOT, task, picture, folder], capture_output=True, text=True, check=False)
            assert result.returncode == 0 and not result.stderr, (task, result)
            rows = rows_of(picture)
            columns = [x for row in rows for x, colour in enumerate(row) if colour == CURVE]
            assert columns and max(columns) - min(columns) > len(rows[0]) // 2, (task, len(columns))
            print(f"ok {task}: {len(columns)} pixels of curve")


main()
