"""A process that runs the embedded servers until its input ends: for tests that kill it, or start it as another user.

    python holder.py DATA_DIR [SETTING=VALUE …]

It prints one line of JSON, about the servers or about what kept them from starting.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any

from engage.embedded import EmbeddedError, running


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    # As in a terminal, even where the tests run in the background of a script, which ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings = dict(word.split("=", 1) for word in sys.argv[2:])
    try:
        with running(Path(sys.argv[1]), settings=settings) as services:
            try:
                say(
                    {
                        "database_url": services.database_url,
                        "redis_url": services.redis_url,
                        "postgres_pid": services.postgres_pid,
                        "valkey_pid": services.valkey_pid,
                    }
                )
                sys.stdin.read()
            except KeyboardInterrupt:
                say({"interrupted": True, "ended": services.ended()})
                sys.stdin.read()
    except EmbeddedError as error:
        say({"error": type(error).__name__, "text": str(error)})


if __name__ == "__main__":
    main()
