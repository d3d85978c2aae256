"""Metrics for Prometheus: one registry a process, served by a thread of its own at ENGAGE_METRICS_PORT.

Labels are names from the code, such as kinds of work: never a person, a target or anything else without a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from engage.base.errors import Unavailable
from engage.base.settings import Settings

REGISTRY: Final = CollectorRegistry()

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series each, telling when it began

for _of_the_process in (ProcessCollector, PlatformCollector, GCCollector):
    _of_the_process(registry=REGISTRY)


@contextmanager
def served(config: Settings) -> Iterator[None]:
    """Serve this process's metrics inside; nothing without ENGAGE_METRICS_PORT.

    Raises Unavailable, which names the setting, when the port cannot be used.
    """
    if not config.metrics_port:
        yield
        return
    try:
        server, thread = start_http_server(config.metrics_port, config.host, REGISTRY)
    except OSError as error:
        raise Unavailable(
            f"Metrics cannot be served at port {config.metrics_port} of {config.host} ({error.strerror}): "
            "each process needs a port of its own, so name another with ENGAGE_METRICS_PORT."
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
