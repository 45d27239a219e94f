"""How bodies are compressed: any release reads what another one wrote, as long as both are zlib's format."""

from __future__ import annotations

import zlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rowcast.stores.bodies import Bodies

BODIES = Bodies(objects=None)  # type: ignore[arg-type]
DATA = st.binary(max_size=2_000) | st.text("ab,", max_size=20_000).map(str.encode)


@given(DATA)
def test_what_is_packed_is_of_zlibs_format(data: bytes) -> None:
    item: Any = BODIES.pack(data, "")
    assert zlib.decompress(item["body"]["B"]) == data
    assert BODIES.unpack(item) == data


@given(DATA)
def test_what_zlib_packed_is_unpacked(data: bytes) -> None:
    assert BODIES.unpack({"body": {"B": zlib.compress(data, 1)}}) == data
