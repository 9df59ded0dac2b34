"""The spans of jobs in Redis: packed, bounded, and gone after a while."""

from orchestrator.state import keys, spans
from orchestrator.state.client import without_loop as do
from orchestrator.state.spans import SpanStore, pack, unpack
from tests.state.conftest import Stores
from tests.state.scenes import JOB

ROWS = [
    b'{"name":"a","span_id":"000000000000000a","open":true,"said":"one\\ntwo"}',
    b'{"name":"b","span_id":"000000000000000b"}',
]
ENDED = b'{"name":"a","span_id":"000000000000000a"}'


def test_what_is_packed_comes_out_again_and_so_do_rows_from_before_there_were_packs() -> None:
    assert unpack([pack(ROWS[:1]), ROWS[1]]) == ROWS
    many = [b'{"name":"execute_tool desk.search","service":"surefoot-worker","n":%d}' % i for i in range(100)]
    assert len(pack(many)) < len(b"".join(many)) / 5


def test_spans_of_several_jobs_are_kept_at_once_and_for_a_time(stores: Stores) -> None:
    other = f"{JOB[:-1]}f"
    SpanStore(stores.client, 600).append({JOB: ROWS, other: ROWS[:1]})
    assert do(stores.jobs.spans(JOB)) == ROWS
    SpanStore(stores.client, 600).append({JOB: [ENDED]})
    assert do(stores.jobs.spans(JOB)) == [ENDED, ROWS[1]]  # a span's last row is what there is to say
    assert do(stores.jobs.spans(other)) == ROWS[:1]
    assert 0 < stores.command("TTL", keys.spans(JOB)) <= 600
    assert do(stores.jobs.spans("e" * 32)) == []


def test_a_trace_keeps_its_newest_packs(stores: Stores) -> None:
    for number in range(5):
        do(stores.scripts.run("keep", 600, 3, JOB, pack([b'{"n":%d}' % number])))
    assert do(stores.jobs.spans(JOB)) == [b'{"n":2}', b'{"n":3}', b'{"n":4}']
    assert spans.MOST_PACKS > 3
