"""Connections of who neither asks nor listens: they are closed, so that their number does not lock others out."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

IDLE = 30.0
"""Seconds between two looks: who has not sent a whole request by the second, or has taken nothing of an answer since, is let go."""


class PatientProtocol(H11Protocol):
    """HTTP/1.1; the bodies of requests have limits of their own."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._former: tuple = ()
        self._looking = self.loop.call_later(IDLE, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._looking.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        now = (self.cycle, unsent)
        stands_still = unsent > 0 or self.conn.their_state is h11.IDLE
        if stands_still and now == self._former:
            self.transport.abort()
            return
        self._former = now if stands_still else ()
        self._looking = self.loop.call_later(IDLE, self._look)
