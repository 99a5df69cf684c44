from tunesmith.layout import REQUESTS
from tunesmith.store.requests import StopRequest, read_requests, write_request


def test_requests_come_back_in_the_order_in_which_they_were_left(tmp_path):
    asked = [StopRequest("first", trial=3), StopRequest("second"), StopRequest("third", now=True)]
    for request in asked:
        write_request(tmp_path, request)

    assert read_requests(tmp_path) == asked


def test_a_request_is_answered_once(tmp_path):
    write_request(tmp_path, StopRequest("enough"))
    read_requests(tmp_path)

    assert read_requests(tmp_path) == []


def test_an_experiment_that_nobody_asks_anything_of_has_no_requests(tmp_path):
    assert read_requests(tmp_path) == []


def test_a_request_that_is_still_being_written_is_left_alone(tmp_path):
    path = write_request(tmp_path, StopRequest("whole"))
    path.with_name("99-half.tmp").write_bytes(b'{"reason"')

    assert [request.reason for request in read_requests(tmp_path)] == ["whole"]
    assert (tmp_path / REQUESTS / "99-half.tmp").exists()


def test_a_file_that_is_no_request_is_set_aside_and_stops_nothing(tmp_path):
    good = write_request(tmp_path, StopRequest("good"))
    good.with_name("0-scribble.json").write_text('{"reason": 7}')

    assert [request.reason for request in read_requests(tmp_path)] == ["good"]
    assert sorted(path.name for path in (tmp_path / REQUESTS).iterdir()) == ["0-scribble.refused"]
    assert read_requests(tmp_path) == []
