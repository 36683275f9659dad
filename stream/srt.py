"""SRT (Secure Reliable Transport) by libsrt itself, for FFmpeg in PyAV's wheels has none.

A name without a host, or with ``mode=listener``, waits until somebody calls.  Only what MPEG-TS
needs is here: live mode, messages of seven packets.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import struct
import time
from collections.abc import Callable
from functools import cache

from stream.srt_name import (
    MICROSECONDS,
    NUMBERS,
    TEXTS,
    WIDE,
    Place,
    SrtError,
    address_of,
    number,
    place_of,
)

LIBRARIES = ("srt", "srt-gnutls", "srt-openssl")
"""Names of the library; the last two are Debian's."""

MESSAGE_BYTES = 1316
"""Seven packets of MPEG-TS; what SRT sends at a time."""

NAP_SECONDS = 0.02
"""So often it is looked whether something happened, or nobody waits any longer."""

QUIET_SECONDS = 1.5
"""A peer that sends nothing, or acknowledges nothing, for so long has gone.  That one was killed is
known to libsrt only after five seconds, and until then the one that came back is not heard."""

# Of libsrt's header srt.h.
RCVSYN, SENDER = 2, 21
RCVTIMEO, CONNTIMEO, SNDDROPDELAY = 14, 36, 32
CONNECTED, GONE = 5, (6, 7, 8, 9)
ASYNC_RCV, LOST = 6002, (2001, 2002)
LOG_CRITICAL = 2

REJECTED = {
    10: "the passphrase is wrong", 11: "one side has a passphrase, the other has none",
    16: "no answer in time",
}  # fmt: skip


class NobodyCalledError(SrtError):
    """One who listens was not called."""


@cache
def library() -> ctypes.CDLL:
    """libsrt, started.

    Raises:
        SrtError: it is not installed.
    """
    names = (ctypes.util.find_library(name) for name in LIBRARIES)
    name = next((name for name in names if name), None)
    if name is None:
        raise SrtError("needs libsrt, which is not installed (Debian: libsrt1.5-gnutls)")
    found = ctypes.CDLL(name)
    found.srt_rejectreason_str.restype = ctypes.c_char_p
    found.srt_getlasterror_str.restype = ctypes.c_char_p
    found.srt_startup()
    found.srt_setloglevel(LOG_CRITICAL)
    return found


class Connection:
    """One connection, as a file to read from or to write to.

    Args:
        url: see the module.
        open_seconds: longer waits for an answer are given up; 0: none is, of one who listens.
        read_seconds: longer waits for a message are given up, and those of QUIET_SECONDS.
        sends: it is written to.
        stopped: asked again and again; true: nobody waits any longer.

    Raises:
        SrtError: there is none.
    """

    def __init__(
        self, url: str, *, open_seconds: float, read_seconds: float, sends: bool = False,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        place = place_of(url)
        self._srt, self._stopped = library(), stopped
        self._read_seconds = min(read_seconds, QUIET_SECONDS)
        self._sent = self._taken = 0  # messages
        self._since = 0.0  # the peer acknowledged something, or had nothing to acknowledge
        self._buffer = ctypes.create_string_buffer(1500)
        self._rest = b""
        self._socket = self._made(place, open_seconds, sends)
        try:
            if place.listens:
                self._listen(place, open_seconds)
            else:
                self._call(place, open_seconds)
            self._set(RCVSYN, 1)
            self._set(RCVTIMEO, round(1000 * NAP_SECONDS))
        except BaseException:
            self.close()
            raise

    def _made(self, place: Place, open_seconds: float, sends: bool) -> int:
        """A socket with its options; it does not wait for anything."""
        self._socket = int(self._srt.srt_create_socket())
        self._set(RCVSYN, 0)
        self._set(SENDER, int(sends))
        self._set(CONNTIMEO, round(1000 * (open_seconds or 3.0)))
        self._set(SNDDROPDELAY, -1)  # what is dropped here would look as if it had been taken
        for name, value in place.options.items():
            if name in TEXTS and value:
                self._set(TEXTS[name], value.encode(), name)
            elif name in MICROSECONDS:
                self._set(MICROSECONDS[name], number(name, value) // 1000, name)
            elif name in NUMBERS:
                self._set(NUMBERS[name], number(name, value), name)
        return self._socket

    def _set(self, option: int, value: int | bytes, name: str = "") -> None:
        raw = (
            value if isinstance(value, bytes) else struct.pack("q" if name in WIDE else "i", value)
        )
        if self._srt.srt_setsockflag(self._socket, option, raw, len(raw)) != 0 and name:
            raise SrtError(f"{name} is not as SRT wants it")  # the value may be a secret

    def _call(self, place: Place, open_seconds: float) -> None:
        address = address_of(place)
        if self._srt.srt_connect(self._socket, address, len(address)) < 0:
            raise SrtError(self._said())
        until = time.monotonic() + open_seconds
        while (state := self._srt.srt_getsockstate(self._socket)) != CONNECTED:
            if state in GONE or time.monotonic() > until or self._stopped():
                raise SrtError(self._refusal())
            time.sleep(NAP_SECONDS)

    def _refusal(self) -> str:
        """Why nobody answered as was hoped."""
        why = int(self._srt.srt_getrejectreason(self._socket))
        if why == 0 or (text := self._srt.srt_rejectreason_str(why)) is None:
            return "no answer in time"
        return REJECTED.get(why, text.decode(errors="replace"))

    def _listen(self, place: Place, open_seconds: float) -> None:
        """Wait for one who calls; nobody else is let in."""
        address, ear = address_of(place), self._socket
        if self._srt.srt_bind(ear, address, len(address)) or self._srt.srt_listen(ear, 1):
            raise SrtError(f"port {place.port} cannot be listened on; another program may have it")
        until = time.monotonic() + open_seconds
        while (caller := int(self._srt.srt_accept(ear, None, None))) < 0:
            if self._code() != ASYNC_RCV:
                raise SrtError(self._said())
            if self._stopped() or (open_seconds and time.monotonic() > until):
                raise NobodyCalledError("nobody called in time")
            time.sleep(NAP_SECONDS)
        self._socket = caller
        self._srt.srt_close(ear)

    def _code(self) -> int:
        return int(self._srt.srt_getlasterror(None))

    def _said(self) -> str:
        """In libsrt's words."""
        text: bytes = self._srt.srt_getlasterror_str()
        return text.decode(errors="replace").rstrip(". ")

    def read(self, size: int) -> bytes:
        """The next message, at most ``size`` bytes of it; none where the peer has gone.

        Raises:
            SrtError: nothing came in time.
        """
        until = time.monotonic() + self._read_seconds
        while not self._rest:
            got = self._srt.srt_recvmsg(self._socket, self._buffer, len(self._buffer))
            if got > 0:
                self._rest = self._buffer.raw[:got]
            elif got == 0 or self._code() in LOST or self._stopped():
                return b""
            elif time.monotonic() > until:
                raise SrtError("no answer in time")
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def write(self, data: bytes) -> int:
        """All of it.

        Raises:
            SrtError: the peer has gone.
        """
        self._watch(time.monotonic())
        for start in range(0, len(data), MESSAGE_BYTES):
            message = bytes(data[start : start + MESSAGE_BYTES])
            if self._srt.srt_sendmsg(self._socket, message, len(message), -1, 1) < 0:
                raise SrtError(self._said())
            self._sent += 1
        return len(data)

    def _watch(self, now: float) -> None:
        """Whether the peer still acknowledges what it was sent before."""
        waiting = ctypes.c_size_t()
        self._srt.srt_getsndbuffer(self._socket, ctypes.byref(waiting), None)
        taken = self._sent - waiting.value
        if taken > self._taken or not waiting.value:
            self._taken, self._since = taken, now
        elif now - self._since > QUIET_SECONDS:
            raise SrtError("the receiver acknowledges nothing")

    def close(self) -> None:
        """Hang up; what was written is still sent. Safe to call twice."""
        if self._socket >= 0:
            self._srt.srt_close(self._socket)
            self._socket = -1
