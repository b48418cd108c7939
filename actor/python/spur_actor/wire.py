# SPDX-License-Identifier: MIT
"""Messages as bytes, and everything from outside checked on the way in.

The one module that knows the protobuf library. The limits are those of proto/wire.h.
"""
import numpy as np
from google.protobuf.message import DecodeError

from . import spur_pb2 as pb

SCHEMA = 1
MESSAGE_MAX = 64 << 20
ROWS_MAX = 16384
DIM_MAX = 4096
EPISODES_MAX = 1024
LAYERS_MAX = 11  # hidden layers of a policy
STRING_BYTES_MAX = 255

TERMINATED, TRUNCATED = 1, 2  # flags of a row

_FIELD_OF = {field.message_type.name: field.name for field in pb.Envelope.DESCRIPTOR.oneofs_by_name["body"].fields}


class WireError(Exception):
    """A message that breaks the rules: the sentence says which one."""


def text(value):
    """A string as the wire takes it: short, printable."""
    clean = "".join(c if c.isprintable() else "?" for c in value)
    return clean.encode("utf-8", "replace")[:STRING_BYTES_MAX].decode("utf-8", "ignore")


def pack(run_id, body):
    """An Envelope around any of the messages, as bytes."""
    envelope = pb.Envelope(schema=SCHEMA, run_id=run_id)
    inner = getattr(envelope, _FIELD_OF[type(body).DESCRIPTOR.name])
    inner.SetInParent()
    inner.MergeFrom(body)
    return envelope.SerializeToString()


def unpack(data):
    """(run_id, message). WireError: what is wrong with it."""
    if len(data) > MESSAGE_MAX:
        raise WireError(f"{len(data)} bytes; at most {MESSAGE_MAX}")
    envelope = pb.Envelope()
    try:
        envelope.ParseFromString(data)
    except DecodeError:
        raise WireError(f"{len(data)} bytes that do not parse") from None
    if envelope.schema != SCHEMA:
        raise WireError(f"the message has schema {envelope.schema}, this side speaks {SCHEMA}; "
                        "use the spur_actor of the same version of spur")
    field = envelope.WhichOneof("body")
    if field is None:
        raise WireError("an envelope without a message")
    body = getattr(envelope, field)
    if field == "policy":
        _check_policy(body)
    elif field == "eval_request":
        _check_policy(body.policy)
        if not 1 <= body.episodes <= EPISODES_MAX:
            raise WireError(f"eval_request.episodes: {body.episodes} is outside 1 to {EPISODES_MAX}")
    return envelope.run_id, body


def _check_policy(policy):
    if len(policy.params) != 4 * policy.params_len:
        raise WireError(f"policy.params: {len(policy.params)} bytes, but {policy.params_len} numbers of 4 were announced")
    if policy.params_len == 0:
        return
    if policy.version == 0:
        raise WireError("policy.version: 0, but there are weights")
    for name, value, most in (("obs_dim", policy.obs_dim, DIM_MAX), ("act_dim", policy.act_dim, DIM_MAX),
                              ("hidden_width", policy.hidden_width, DIM_MAX), ("hidden_layers", policy.hidden_layers, LAYERS_MAX)):
        if not 1 <= value <= most:
            raise WireError(f"policy.{name}: {value} is outside 1 to {most}")
    if not np.isfinite(floats(policy.params)).all():
        raise WireError("policy.params: a number that is not finite")


def floats(data):
    """A column of the wire as a read-only float32 array."""
    return np.frombuffer(data, dtype="<f4")


def column(values):
    """An array as a column of the wire."""
    return np.ascontiguousarray(values, dtype="<f4").tobytes()
