"""The checksum of a stored file, by which one that was altered, cut short or mixed up since is found.

XXH3 of 128 bits, after `xxh3:`; of snapshots of version 1 and 2, SHA-256 without a name. It does not withstand forgery,
nor would another: who can write a file into the bucket can write the manifest that holds its checksum.
https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
"""

from __future__ import annotations

import hashlib
from typing import Any

NAME = "xxh3:"


class Checksum:
    """Over bytes that come piece by piece. `like`: a checksum of the same kind."""

    def __init__(self, like: str = NAME) -> None:
        import xxhash

        self._name = NAME if like.startswith(NAME) else ""
        self._bytes: Any = xxhash.xxh3_128() if self._name else hashlib.sha256()

    def update(self, data: Any) -> None:
        """`data`: whatever has the buffer protocol."""
        self._bytes.update(data)

    def text(self) -> str:
        return f"{self._name}{self._bytes.hexdigest()}"
