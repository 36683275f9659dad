"""What can go wrong while moving frames. Each kind is also the built-in a caller expects.

::

    StreamError                     (Exception)
    ├── SourceError                 (OSError)            the input cannot be read
    │   ├── SourceNotFoundError     (FileNotFoundError)  nothing has that name
    │   ├── NotAFileError           (IsADirectoryError)  a directory or a device
    │   ├── NotAVideoError          (ValueError)         empty, cut short, or no media at all
    │   ├── NoVideoError            (ValueError)         media, but without moving pictures
    │   └── PixelFormatError        (ValueError)         10-bit, HDR: it would be flattened
    └── SinkError                   (OSError)            the output cannot be written
        └── SinkPathError           (ValueError)         the name itself is wrong

Every message names the file and the reason.
"""

from __future__ import annotations


class StreamError(Exception):
    """Anything this package raises on its own account."""


class SourceError(StreamError, OSError):
    """The input cannot be read."""


class SourceNotFoundError(SourceError, FileNotFoundError):
    """Nothing has that name."""


class NotAFileError(SourceError, IsADirectoryError):
    """The name is a directory or a device."""


class NotAVideoError(SourceError, ValueError):
    """The file is empty, cut short before the first picture, or no media at all."""


class NoVideoError(SourceError, ValueError):
    """The file is media, but has no moving pictures."""


class PixelFormatError(SourceError, ValueError):
    """The pictures have more depth or range than this version keeps."""


class SinkError(StreamError, OSError):
    """The output cannot be written."""


class SinkPathError(SinkError, ValueError):
    """The output's name is wrong: unknown suffix, the input itself, someone else's pictures."""
