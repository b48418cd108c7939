# SPDX-License-Identifier: MIT
"""What an actor has seen and the model server has not acknowledged yet.

Rows are gathered into messages, messages are numbered 1, 2, ... and kept until
they are acknowledged, so that each can be sent again. It never holds more than
rows_max rows: when `full` says so, the actor stands still.

    acknowledged | sent, in flight | sealed, to be sent | open: still gathering
                 ^ acked           ^ cursor             ^ seq_last
"""
from collections import deque

import numpy as np

from . import wire
from .wire import pb


class Spool:
    def __init__(self, rows_max, batch_rows_max, obs_dim, act_dim):
        self.rows_max = rows_max
        self.batch_rows_max = min(batch_rows_max, rows_max)
        self.obs_dim, self.act_dim = obs_dim, act_dim
        self.acked = self.cursor = self.seq_last = 0
        self.rows = 0  # not acknowledged, open ones included
        self._sealed = deque()  # Transitions acked + 1 .. seq_last
        self._open = []
        self._open_version = 0
        self._open_since_ms = 0

    @property
    def full(self):
        return self.rows >= self.rows_max

    @property
    def in_flight(self):
        """Messages sent and not acknowledged."""
        return self.cursor - self.acked

    def push(self, row, now_ms):
        """A row to the open message, which holds rows of one policy version."""
        assert not self.full
        if self._open and self._open_version != row.policy_version:
            self.seal()
        if not self._open:
            self._open_version, self._open_since_ms = row.policy_version, now_ms
        self._open.append(row)
        self.rows += 1
        if len(self._open) == self.batch_rows_max:
            self.seal()

    def seal(self):
        """Closes the open message, if it has rows, so that it can be sent."""
        if not self._open:
            return
        rows, self._open = self._open, []
        self.seq_last += 1
        self._sealed.append(pb.Transitions(seq=self.seq_last, policy_version=self._open_version, rows=pb.Rows(
            rows=len(rows), obs_dim=self.obs_dim, act_dim=self.act_dim,
            obs=wire.column(np.stack([r.obs for r in rows])),
            act=wire.column(np.stack([r.act for r in rows])),
            reward=wire.column([r.reward for r in rows]),
            next_obs=wire.column(np.stack([r.next_obs for r in rows])),
            flags=bytes(r.flags for r in rows))))

    def truncate_last(self):
        """The last row turned out to be its episode's last. Too late once it is sealed."""
        if self._open and self._open[-1].flags == 0:
            self._open[-1].flags = wire.TRUNCATED

    def open_ms(self, now_ms):
        """Age of the open message's first row; 0 if it has none."""
        return now_ms - self._open_since_ms if self._open else 0

    def next(self):
        """The next message to send, or None."""
        return self._sealed[self.cursor - self.acked] if self.cursor < self.seq_last else None

    def sent(self):
        self.cursor += 1

    def ack(self, seq):
        """Everything up to seq is stored. False if seq was never made: the peer errs."""
        if seq > self.seq_last:
            return False
        while self.acked < seq:
            self.acked += 1
            self.rows -= self._sealed.popleft().rows.rows
        # What was to be sent again may have arrived the first time.
        self.cursor = max(self.cursor, self.acked)
        return True

    def rewind(self):
        """Everything that is not acknowledged is to be sent again; how many messages."""
        again = self.in_flight
        self.cursor = self.acked
        return again
