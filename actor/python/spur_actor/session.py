# SPDX-License-Identifier: MIT
"""A client's side of one connection: is it up, whom do we wait for, what is due?

State only: no socket, no clock. The owner passes every message in, asks on
every tick what is due, and does it.

           Welcome                      silence for lost_after_ms,
  OPENING ─────────▶ UP ──────────────▶ Refuse(UNKNOWN or RUN)      ─▶ OPENING
     │ Refuse, not fatal: says Hello again after a growing pause
     └ Refuse, fatal: FATAL, for good; `text` says why

While OPENING the Hello is due until it could be sent; unanswered, the socket is
closed and opened again after 1, 2, 4, 4, ... times lost_after_ms. A session that
only asks (for policies) has no Hello and no Heartbeat: it is UP until ask(), then
OPENING until any answer of the run comes; "Hello" is then the question.
"""
from . import wire
from .wire import pb

OPENING, UP, FATAL = "opening", "up", "fatal"

# What is due, in the order to do it in.
SAY, REOPEN, HELLO, HEARTBEAT = "say", "reopen", "hello", "heartbeat"

# What a message means to the owner.
FOR_OWNER, WELCOMED, HANDLED, STOP = "for owner", "welcomed", "handled", "stop"

HEARTBEAT_MS, LOST_AFTER_MS = 500, 3000  # until Welcome brings the run's own
SAY_MS = 3000
PAUSE_FIRST_MS, PAUSE_DOUBLINGS_MAX, REOPEN_DOUBLINGS_MAX = 250, 5, 2


def _doubled(ms, times, times_max):
    return ms << min(times, times_max)


class Session:
    def __init__(self, program, endpoint, now_ms, asks_only=False):
        self.program, self.endpoint, self.asks_only = program, endpoint, asks_only
        self.state = UP if asks_only else OPENING
        self.run_id = 0
        self.heartbeat_ms, self.lost_after_ms = HEARTBEAT_MS, LOST_AFTER_MS
        self.heard_ms = self.sent_ms = self.hello_ms = now_ms
        self.said_ms = None
        self.hello_sent = False
        self.pause_until_ms = 0
        self.tries = 0
        self.text = ""

    # ---- time ----

    def on_tick(self, now_ms):
        """What is due, as a list; it stays due until sent() says otherwise."""
        if self.state == OPENING:
            return self._tick_opening(now_ms)
        if self.state == FATAL or self.asks_only:
            return []
        if now_ms - self.heard_ms >= self.lost_after_ms:
            self.text = ""
            self._begin_opening(now_ms)
            return self._say(now_ms) + [REOPEN, HELLO]
        return [HEARTBEAT] if now_ms - self.sent_ms >= self.heartbeat_ms else []

    def _tick_opening(self, now_ms):
        duties = []
        if self.text or now_ms - self.heard_ms >= self.lost_after_ms:
            duties += self._say(now_ms)
        if now_ms - self.hello_ms >= _doubled(self.lost_after_ms, self.tries, REOPEN_DOUBLINGS_MAX):
            duties.append(REOPEN)
            self.text = ""
            self.hello_sent = False
            self.hello_ms = now_ms
            self.tries += 1
        if not self.hello_sent and now_ms >= self.pause_until_ms:
            duties.append(HELLO)
        return duties

    def _begin_opening(self, now_ms):
        self.state = OPENING
        self.hello_sent = False
        self.hello_ms = now_ms
        self.tries = 0

    def _say(self, now_ms):
        if self.said_ms is not None and now_ms - self.said_ms < SAY_MS:
            return []
        self.said_ms = now_ms
        return [SAY]

    def waiting(self, now_ms):
        """Why nothing goes on; "" when up."""
        if self.state == UP:
            return ""
        if self.text:
            return f"refused by {self.endpoint}: {self.text}"
        silent_s = (now_ms - self.heard_ms) // 1000
        return f"waiting for {self.endpoint}: no answer for {silent_s} s; check that {self.program} runs there"

    # ---- messages ----

    def sent(self, now_ms, hello=False):
        """A message was taken by the socket. hello: it was the Hello, or the question."""
        self.sent_ms = now_ms
        if hello:
            self.hello_sent = True
            self.hello_ms = now_ms

    def ask(self, now_ms):
        """asks_only: a question is due. Nothing happens while one is under way."""
        if self.state == UP:
            self.heard_ms = now_ms  # silence before the question says nothing
            self._begin_opening(now_ms)

    def on_message(self, now_ms, run_id, message):
        if self.state == FATAL:
            return HANDLED
        if isinstance(message, pb.Refuse):
            self.heard_ms = now_ms
            return self._on_refuse(now_ms, message)
        if isinstance(message, pb.Shutdown) and self.run_id in (0, run_id):
            return FOR_OWNER  # also from a server that is too far gone to say Welcome
        verdict = FOR_OWNER
        if isinstance(message, pb.Welcome) and not self.asks_only:
            verdict = self._on_welcome(run_id, message)
            if verdict == STOP:
                return verdict
        elif self.run_id == 0 or run_id != self.run_id or (self.state == OPENING and not self.asks_only):
            return HANDLED  # another run's, or left over from before the Hello on its way
        self.heard_ms = now_ms
        self.state = UP
        self.hello_sent = False
        self.tries = 0
        self.pause_until_ms = 0
        self.text = ""
        return verdict

    def _on_refuse(self, now_ms, refuse):
        self.text = wire.text(refuse.text)
        if refuse.fatal:
            self.state = FATAL
            return STOP
        if refuse.code in (pb.REFUSAL_UNKNOWN, pb.REFUSAL_RUN) and self.state == UP and not self.asks_only:
            self.text = ""
            self._begin_opening(now_ms)
            return HANDLED
        if refuse.code in (pb.REFUSAL_VALUE, pb.REFUSAL_FORMAT):
            return FOR_OWNER  # about one message; the connection stands
        if self.state == OPENING and self.hello_sent:
            self.hello_sent = False
            self.hello_ms = now_ms
            self.pause_until_ms = now_ms + _doubled(PAUSE_FIRST_MS, self.tries, PAUSE_DOUBLINGS_MAX)
            self.tries += 1
        return HANDLED

    def _on_welcome(self, run_id, welcome):
        if self.run_id not in (0, run_id):
            self.state = FATAL
            self.text = f"{self.endpoint} serves another run now than when this process joined; start it again"
            return STOP
        self.run_id = run_id
        if welcome.heartbeat_ms > 0 and welcome.lost_after_ms > 0:
            self.heartbeat_ms, self.lost_after_ms = welcome.heartbeat_ms, welcome.lost_after_ms
        return WELCOMED
