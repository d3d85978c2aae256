"""The websocket protocol of the server, made safe against peers that do not read what they are sent.

uvicorn lets whoever sends wait while the peer does not read. But frames that the protocol answers by itself, pings,
would be answered into memory without end; and a peer that never reads again would keep what waits for it for ever.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STALLED_S = 30.0
"""Who has not read for so long what was sent, is gone."""


class PatientWebSocket(WebSocketsSansIOProtocol):
    """While the peer does not read, nothing more is read from it, and not for ever."""

    _stalled: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Called by the transport when too much waits for the peer."""
        super().pause_writing()
        self._read_no_more()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Called by the transport when the peer has read."""
        super().resume_writing()
        self._let_go()
        if not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Called by the transport; reading may have been resumed by the application meanwhile."""
        super().data_received(data)
        if not self.writable.is_set():
            self._read_no_more()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once when the connection is gone."""
        self._let_go()
        super().connection_lost(exc)

    def _read_no_more(self) -> None:
        if self.transport.is_reading():
            self.transport.pause_reading()

    def _let_go(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
