# SPDX-License-Identifier: MIT
"""python3 -m spur_actor: the command line, and who this is."""
import argparse
import logging
import os
import socket
import sys
import time


def _missing(module):
    print(f"spur_actor: the Python module {module} is not there\n"
          "  hint: apt-get install python3-zmq python3-protobuf python3-numpy, or pip install pyzmq protobuf numpy",
          file=sys.stderr)
    sys.exit(69)


try:
    import google.protobuf  # noqa: F401
    import numpy  # noqa: F401
    import zmq  # noqa: F401
except ModuleNotFoundError as missing:
    _missing(missing.name)

from . import __version__, environment  # noqa: E402
from .actor import Actor  # noqa: E402
from .client import EXIT_FAILURE, EXIT_OK, EXIT_USAGE, Identity  # noqa: E402
from .evaluator import Evaluator  # noqa: E402
from .process import BadEndpoint, Process  # noqa: E402

ID_MAX = 127


class Parser(argparse.ArgumentParser):
    def error(self, message):
        print(f"spur_actor: {message}\n  hint: python3 -m spur_actor --help", file=sys.stderr)
        sys.exit(EXIT_USAGE)


def parse(argv):
    parser = Parser(prog="python3 -m spur_actor", allow_abbrev=False, description=(
        "Steps a Gymnasium environment with a run's newest policy and streams what it sees to the model server. "
        "May join a run and leave it at any time."))
    parser.add_argument("--env", required=True, metavar="MODULE:FUNCTION",
                        help="the function that makes the environment; MODULE is looked for here and on PYTHONPATH")
    parser.add_argument("--modelserver", required=True, metavar="ENDPOINT",
                        help="where spur-modelserver listens: tcp://HOST:PORT or ipc://PATH")
    parser.add_argument("--learner", metavar="ENDPOINT",
                        help="where spur-learner gives out policies; an evaluator needs none")
    parser.add_argument("--evaluate", action="store_true", help="be the run's evaluator instead")
    parser.add_argument("--id", metavar="NAME", help="name in the run, one a process (default: host-pid)")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=f"spur_actor {__version__}")
    options = parser.parse_args(argv)
    if not options.learner and not options.evaluate:
        parser.error("--learner is missing: an actor gets its policies there (an evaluator, --evaluate, needs none)")
    if options.id is not None and not 1 <= len(options.id.encode()) <= ID_MAX:
        parser.error(f"--id: 1 to {ID_MAX} bytes, not {len(options.id.encode())}")
    return options


class Lines(logging.Formatter):
    """Lines like those of spur's own programs."""
    converter = time.gmtime

    def __init__(self, name):
        super().__init__(f"%(asctime)s.%(msecs)03dZ {name} %(tag)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record):
        record.tag = {"WARNING": "warn "}.get(record.levelname, record.levelname.lower().ljust(5))
        return super().format(record)


def main(argv=None):
    options = parse(argv)
    host = socket.gethostname()
    name = options.id or f"{host[:64]}-{os.getpid()}"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(name))
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.INFO, handlers=[handler])
    try:
        env = environment.load(options.env)
        who = Identity(
            id=name, host=host, version=f"{__version__} (Python)", pid=os.getpid(),
            # Grows with every start of the same id, on machines whose clocks agree.
            incarnation=time.time_ns(),
            obs_dim=env.obs_dim, act_dim=env.act_dim, modelserver=options.modelserver, learner=options.learner or "")
        core = Evaluator if options.evaluate else Actor
        process = Process(lambda io, now_ms: core(env, who, io, now_ms), options.modelserver,
                          None if options.evaluate else options.learner)
    except (environment.Misfit, BadEndpoint) as refusal:
        print(f"spur_actor: {refusal}", file=sys.stderr)
        return EXIT_USAGE
    code, why = process.run()
    if code == EXIT_OK:
        logging.info("leaving: %s", why)
    else:
        logging.error("%s", why)
    try:
        env.close()
    except Exception as error:  # noqa: BLE001: the environment is not ours
        logging.error("the environment's close failed: %s: %s", type(error).__name__, error)
        code = code or EXIT_FAILURE
    return code


if __name__ == "__main__":
    sys.exit(main())
