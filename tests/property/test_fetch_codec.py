"""Our fetch requests and answers are aiokafka's, to the byte."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v11
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.fetch_codec import QuickFetchRequest, QuickFetchRequestV11, QuickFetchResponse

int16, int32, int64 = (st.integers(-(1 << bits), (1 << bits) - 1) for bits in (15, 31, 63))
names = st.text(st.characters(codec="utf-8"), max_size=20)
wanted = st.lists(st.tuples(names, st.lists(st.tuples(int32, int64, int32), max_size=5)), max_size=4)
aborted = st.none() | st.lists(st.tuples(int64, int64), max_size=3)
answered = st.lists(
    st.tuples(
        names,
        st.lists(
            st.tuples(int32, int16, int64, int64, int64, aborted, int32, st.none() | st.binary(max_size=50)), max_size=5
        ),
    ),
    max_size=4,
)


@given(wanted, int32, int32, int32, st.sampled_from((0, 1)), names, st.integers(4, 14))
def test_a_request_is_aiokafkas_to_the_byte(
    topics: list[Any], wait_ms: int, least: int, most: int, isolation: int, rack: str, newest: int
) -> None:
    theirs = FetchRequest(wait_ms, least, most, isolation, topics, rack)
    ours = QuickFetchRequest.of(theirs)
    versions = {1: (4, newest)}
    one, other = theirs.prepare(versions), ours.prepare(versions)
    assert isinstance(other, QuickFetchRequestV11) == (newest >= 11)
    assert other.encode() == one.encode()
    assert other.build_request_header(7, "me").encode() == one.build_request_header(7, "me").encode()
    assert ours.topics == theirs.topics


@given(int32, int16, int32, answered, st.binary(max_size=8))
def test_an_answer_is_read_as_aiokafka_reads_it(
    throttle_ms: int, error: int, session: int, topics: list[Any], before: bytes
) -> None:
    theirs = FetchResponse_v11(throttle_ms, error, session, topics)
    data = BytesIO(before + theirs.encode())
    data.seek(len(before))
    found = QuickFetchResponse.decode(data)
    assert found == FetchResponse_v11.decode(theirs.encode())
    assert found.API_VERSION == 11
    for _, partitions in found.topics:
        assert all(type(part) is tuple and isinstance(part[-1], bytes | None) for part in partitions)


@given(answered.filter(lambda topics: any(partitions for _, partitions in topics)), st.data())
def test_an_answer_that_ends_too_early_is_an_error(topics: list[Any], data: st.DataObject) -> None:
    encoded = FetchResponse_v11(0, 0, 0, topics).encode()
    with pytest.raises(ValueError, match="not the answer"):
        QuickFetchResponse.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
