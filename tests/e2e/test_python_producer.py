"""The Python producer: refusals, parts, encodings, breaks."""

import pyarrow as pa
import pytest
from clients import make_table, numbers, sql
from millstream import Fenced, InvalidInput, MillstreamError, Producer


def test_a_refused_batch_fails_alone(flights_server):
    make_table(flights_server, "alone")
    wrong = pa.RecordBatch.from_pydict({"nme": [1]})
    null = pa.RecordBatch.from_pydict({"id": pa.array([1, None], pa.int64())})
    with Producer("alone", {"url": flights_server.url}) as producer:
        futures = [
            producer.send({4: wrong, 7: null}.get(n % 10, numbers(n * 10, 10)))[0] for n in range(60)
        ]
        sequence = offset = 0
        for n, future in enumerate(futures):
            if n % 10 == 4:
                with pytest.raises(InvalidInput, match="nme"):
                    future.result(30)
            elif n % 10 == 7:
                with pytest.raises(InvalidInput, match="NOT NULL"):
                    future.result(30)
            else:
                ack = future.result(30)
                assert (ack.sequence, ack.next_sequence, ack.duplicate) == (sequence, sequence + 1, False)
                assert (ack.appended[0].first_offset, ack.appended[0].rows) == (offset, 10)
                sequence, offset = sequence + 1, offset + 10
        producer.flush()
    assert sql(flights_server, "SELECT count(*) AS n, count(DISTINCT id) AS d FROM alone") == [{"n": 480, "d": 480}]


def test_a_refusal_nobody_looked_at_is_told_by_flush(flights_server):
    make_table(flights_server, "unseen")
    producer = Producer("unseen", {"url": flights_server.url})
    producer.send(pa.RecordBatch.from_pydict({"nme": [1]}))
    with pytest.raises(InvalidInput, match="nme"):
        producer.flush()
    producer.append(numbers(0, 1))
    producer.close()


def test_a_table_may_come_later_than_its_rows(flights_server):
    with Producer("later", {"url": flights_server.url}) as producer:
        for number in range(2):
            with pytest.raises(MillstreamError) as refused:
                producer.append(numbers(number, 1))
            assert refused.value.kind == "not_found"
        make_table(flights_server, "later")
        assert producer.append(numbers(2, 1))[0].appended[0].first_offset == 0


def test_a_newer_epoch_ends_the_producer(flights_server):
    make_table(flights_server, "epochs")
    with Producer("epochs", {"url": flights_server.url}) as old:
        old.append(numbers(0, 1))
        newer = {"url": flights_server.url, "producer.id": str(old.producer_id), "producer.epoch": 1}
        with Producer("epochs", newer) as new:
            new.append(numbers(1, 1))
            for number in range(2):
                with pytest.raises(Fenced):
                    old.append(numbers(number, 1))


def test_large_batches_and_all_encodings_arrive(flights_server):
    rows = 150_000
    make_table(
        flights_server, "encodings",
        columns="id BIGINT NOT NULL, word VARCHAR, view VARCHAR, large VARCHAR, list ARRAY<BIGINT>, runs VARCHAR",
    )
    words = pa.array([["red", "green", "blue", None][n % 4] for n in range(rows)])
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([rows // 2, rows], pa.int32()), pa.array(["first", "second"]))
    texts = [f"word {n}" for n in range(rows)]
    batch = pa.RecordBatch.from_pydict({
        "id": pa.array(range(rows), pa.int64()),
        "word": words.dictionary_encode(),
        "view": pa.array(texts, pa.string_view()),
        "large": pa.array(texts, pa.large_string()),
        "list": pa.array([[n] * 3 for n in range(rows)], pa.large_list(pa.int64())),
        "runs": runs,
    })
    with Producer("encodings", {"url": flights_server.url}) as producer:
        ack, = producer.append(batch)
    assert ack.next_sequence - ack.sequence > 1, "it takes several parts"
    ends = [run.first_offset + run.rows for run in ack.appended]
    assert [run.first_offset for run in ack.appended] == [0, *ends[:-1]] and ends[-1] == rows, "order is kept"
    found = sql(
        flights_server,
        "SELECT count(*) AS n, sum(CASE WHEN id = _offset THEN 1 ELSE 0 END) AS in_order, count(word) AS words, "
        "sum(CASE WHEN view = 'word ' || id AND large = view THEN 1 ELSE 0 END) AS texts, sum(list[1] + list[3]) AS lists, "
        "sum(CASE WHEN runs = 'first' THEN 1 ELSE 0 END) AS runs FROM encodings",
    )
    expected = {"n": rows, "in_order": rows, "words": 112_500, "texts": rows, "lists": rows * (rows - 1), "runs": rows // 2}
    assert found == [expected]


def test_a_dictionary_that_stands_for_far_more_is_cut_first(flights_server):
    make_table(flights_server, "bombs", columns="text VARCHAR")
    keys = pa.array([n % 2 for n in range(64)], pa.int8())
    text = pa.DictionaryArray.from_arrays(keys, pa.array(["x" * (1 << 20), "y"]))
    with Producer("bombs", {"url": flights_server.url}) as producer:
        ack, = producer.append(pa.RecordBatch.from_arrays([text], names=["text"]))
        assert ack.next_sequence - ack.sequence >= 8
        with pytest.raises(InvalidInput, match="a row may have"):
            producer.append(pa.RecordBatch.from_pydict({"text": ["z" * (9 << 20)]}))
    assert sql(flights_server, "SELECT count(*) AS n, sum(length(text)) AS l FROM bombs") == [
        {"n": 64, "l": 32 * (1 << 20) + 32}
    ]


def test_what_is_under_way_when_the_wire_breaks_is_appended_once(flights_server, proxy):
    make_table(flights_server, "wires")
    wire = proxy(flights_server.grpc)
    futures = []
    with Producer("wires", {"url": wire.url, "reconnect.interval.ms": 20, "reconnect.max.interval.ms": 20}) as producer:
        for n in range(400):
            if n % 40 == 20:
                wire.cut()
            futures += producer.send(numbers(n * 10, 10))
        producer.flush()
        offsets = [future.result(30).appended[0].first_offset for future in futures]
    assert offsets == list(range(0, 4000, 10))
    found = sql(
        flights_server,
        "SELECT count(*) AS n, count(DISTINCT id) AS d, sum(CASE WHEN id = _offset THEN 1 ELSE 0 END) AS o FROM wires",
    )
    assert found == [{"n": 4000, "d": 4000, "o": 4000}]
