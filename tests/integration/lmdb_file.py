# SPDX-License-Identifier: MIT
"""Reads a store without LMDB and without spur: the format of LMDB 0.9 (64-bit), from the file's bytes.

So a test compares what is on the disk with what actors counted, and no program under test is asked."""
import struct

MAGIC = 0xBEEFC0DE
HEADER = 16  # of a page: number, padding, flags, lower, upper
BRANCH, LEAF = 1, 2
BIG, SUB = 1, 2  # flags of a node: the value is on pages of its own; it is a database


class Damaged(Exception):
    """The file is not what LMDB writes."""


def newest_meta(data):
    """(page size, root of the main database): of the two metas the one of the later transaction."""
    best = None
    for at in (0, 4096):
        magic, _ = struct.unpack_from("<II", data, at + HEADER)
        if magic != MAGIC:
            raise Damaged(f"no meta at {at}")
        page_size = struct.unpack_from("<I", data, at + HEADER + 24)[0]
        root = struct.unpack_from("<Q", data, at + HEADER + 24 + 48 + 40)[0]
        txn = struct.unpack_from("<Q", data, at + HEADER + 24 + 96 + 8)[0]
        best = max(best or (0, 0, 0), (txn, page_size, root))
    if best[1] != 4096:
        raise Damaged(f"pages of {best[1]} bytes")
    return best[1:]


def items(data, page_size, root):
    """(key, value, flags) of a database, in order."""
    if root == 2 ** 64 - 1:
        return
    at = root * page_size
    if at + page_size > len(data):
        raise Damaged(f"page {root} is beyond the end")
    number, _, flags, lower, _ = struct.unpack_from("<QHHHH", data, at)
    if number != root:
        raise Damaged(f"page {root} says that it is {number}")
    for i in range((lower - HEADER) // 2):
        node = at + struct.unpack_from("<H", data, at + HEADER + 2 * i)[0]
        low, high, node_flags, key_len = struct.unpack_from("<HHHH", data, node)
        if flags & BRANCH:
            yield from items(data, page_size, low | high << 16 | node_flags << 32)
        elif flags & LEAF:
            key, length, value = data[node + 8:node + 8 + key_len], low | high << 16, node + 8 + key_len
            if node_flags & BIG:
                value = struct.unpack_from("<Q", data, value)[0] * page_size + HEADER
            yield key, data[value:value + length], node_flags
        else:
            raise Damaged(f"page {root} has the flags {flags:#x}")


def database(path, name):
    """[(key, value)] of a named database of the file."""
    with open(path, "rb") as f:
        data = f.read()
    page_size, root = newest_meta(data)
    for key, value, flags in items(data, page_size, root):
        if flags & SUB and key == name.encode():
            return [(k, v) for k, v, _ in items(data, page_size, struct.unpack_from("<Q", value, 40)[0])]
    return []


def rows(path, obs_dim, act_dim):
    """The transitions in the order of their numbers: (actor, obs, next_obs); the numbers are 0, 1, 2, ..."""
    found = []
    for number, (key, value) in enumerate(database(path, "rows")):
        if struct.unpack("<Q", key)[0] != number:
            raise Damaged(f"row {number} has the key {key.hex()}")
        numbers = struct.unpack_from(f"<{2 * obs_dim + act_dim + 1}f", value, 24)
        found.append((struct.unpack_from("<Q", value)[0], numbers[:obs_dim], numbers[-obs_dim:]))
    return found
