"""Requests and responses as values: paths, queries, redaction, errors, decoding."""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import Enum
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from rich.pretty import pretty_repr
from yarl import URL

from kognitos_async import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    CapacityError,
    ConflictError,
    DecodeError,
    Health,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Run,
    ServerError,
)
from kognitos_async.messages import (
    Redactor,
    Request,
    Response,
    StoreRequest,
    decode,
    decoder_for,
    run_id_of,
    segment,
    status_error,
    with_query,
)

NOW = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)
KEY = "sk-Very/Secret+Key=="
GET = Request("GET", "/runs/r-1?continuation_token=secret-token")
START_REQUEST = Request("POST", "/runs", b"{}", repeatable=False, starts_run=True)


def answer(status, body=b"", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, CIMultiDict(named), body)


def error(status, body=b"", request=GET, **headers):
    return status_error(request, answer(status, body, **headers), Redactor(KEY), now=NOW, attempts=2)


@given(st.text(min_size=1).filter(lambda s: s not in (".", "..")))
def test_any_id_is_one_segment_of_the_path(identifier):
    """Slashes, dots, percent signs and Unicode are sent unchanged and cannot change the path."""
    path = f"/runs/{segment(identifier)}"
    assert path.count("/") == 2
    assert "?" not in path
    assert "#" not in path
    assert unquote(path.removeprefix("/runs/")) == identifier
    assert URL(f"https://host/v2{path}", encoded=True).raw_path == f"/v2{path}"


@given(st.dictionaries(st.text(min_size=1), st.none() | st.text() | st.integers() | st.booleans()))
def test_query_parameters_are_encoded(parameters):
    """None is omitted, booleans are lower-case, all other values are preserved."""
    target = with_query("/runs", parameters)
    expected = [
        (name, str(value).lower() if isinstance(value, bool) else str(value))
        for name, value in parameters.items()
        if value is not None
    ]
    assert (
        parse_qsl(urlsplit(target).query, keep_blank_values=True, strict_parsing=bool(expected)) == expected
    )
    assert urlsplit(target).path == "/runs"


def test_members_of_an_enum_of_str_are_sent_as_their_text():
    class Word(str, Enum):  # noqa: UP042 - the older way to write a StrEnum
        ONE = "one"

    assert with_query("/runs", {"a": Word.ONE, "b": [Word.ONE]}) == "/runs?a=one&b=one"


def test_messages_show_the_path_without_the_query():
    """Tokens and filters are kept out of logs and errors."""
    assert GET.path == "/runs/r-1"
    assert "secret-token" not in str(error(500))


# Statuses


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (429, RateLimitError),
        (500, ServerError),
        (502, ServerError),
        (599, ServerError),
        (302, APIStatusError),
        (408, APIStatusError),
        (418, APIStatusError),
    ],
)
def test_each_status_has_its_error(status, kind):
    """The exact type, with all attributes."""
    body = msgspec.json.encode(
        {"status_code": status, "message": "It is so.", "details": [{"name": "n", "value": "v"}]}
    )
    caught = error(status, body, X_Request_Id="req-7", Retry_After="3")
    assert type(caught) is kind
    assert (caught.status, caught.message, caught.details) == (
        status,
        "It is so.",
        ({"name": "n", "value": "v"},),
    )
    assert (caught.method, caught.path, caught.request_id) == ("GET", "/runs/r-1", "req-7")
    assert (caught.attempts, caught.retry_after, caught.body) == (2, 3, body)


def test_a_message_names_method_path_status_and_what_to_do():
    """`str(error)` is enough to act on."""
    body = b'{"status_code": 404, "message": "Run r-1 not found", "details": null}'
    text = str(error(404, body, X_Request_Id="req-7"))
    assert text == (
        "GET /runs/r-1: 404, Run r-1 not found. Check the id, agent or workspace, and that the key may see "
        "it. [request req-7]"
    )


@pytest.mark.parametrize(
    ("status", "words", "full"),
    [
        (403, "Resource Not Available", True),
        (403, "the organization has reached its maximum of 150 concurrent runs", True),
        (403, "Concurrency limit reached", True),
        (403, "at capacity", True),
        (403, "Too many active runs", True),
        (403, "The limit of parallel runs is reached", True),
        (404, "Resource Not Available", True),
        (403, "Forbidden", False),
        (403, "Invalid API key", False),
        (403, "This key may not start this process", False),
        (403, "", False),
        (404, "Process p-1 not found", False),
        (400, "capacity must be a number", False),
    ],
)
def test_capacity_is_distinguished_from_a_refused_key(status, words, full):
    """By the message, and only for a start."""
    body = msgspec.json.encode({"status_code": status, "message": words})
    caught = error(status, body, START_REQUEST)
    assert isinstance(caught, CapacityError) == full
    assert not isinstance(error(status, body, GET), CapacityError)
    if full:
        assert isinstance(caught, PermissionDeniedError)
        assert "Nothing was started" in str(caught)


def test_a_403_page_of_a_proxy_is_not_capacity():
    """HTML that contains one of the words is not the API's refusal."""
    page = b"<html><h1>403 Forbidden</h1>limit of runs, capacity</html>"
    caught = error(403, page, START_REQUEST, Content_Type="text/html")
    assert not isinstance(caught, CapacityError)
    assert "HTML page" in str(caught)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b"{",
        b"\xff\xfe",
        b'{"message": 7, "details": "none"}',
        b'{"message": null, "details": {}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"<html>" * 1000,
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 500, 502])
def test_any_body_makes_an_api_status_error(status, body):
    """Gateways may send anything."""
    caught = error(status, body, START_REQUEST)
    assert caught.status == status
    assert caught.message == ""
    assert caught.details == ()


@given(st.binary(max_size=300), st.integers(300, 599))
def test_messages_are_one_printable_line(body, status):
    """A response cannot write control characters or line breaks into a log."""
    caught = error(status, msgspec.json.encode({"message": body.decode("latin-1")}))
    assert str(caught).isprintable()
    assert len(str(caught)) < 1000


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "v2 model"}', "v2 model"),
        (b'{"code": 5, "message": "rpc status", "details": []}', "rpc status"),
        (b'{"Message": "gateway"}', "gateway"),
    ],
)
def test_the_message_of_every_error_model_is_found(body, words):
    """The API's own, google.rpc.Status, an AWS gateway's."""
    assert error(500, body).message == words


def test_a_request_id_that_is_not_utf8():
    """The server's bytes are surrogates in a header's value."""
    caught = status_error(GET, answer(429, X_Request_Id="a\udcff"), Redactor(KEY), now=NOW, attempts=1)
    assert (type(caught), caught.request_id) == (RateLimitError, "a\ufffd")


def test_request_ids_are_truncated_and_printable():
    """They are copied into support tickets."""
    caught = error(500, b"", apigw_requestid="a\x1b[31m" + "b" * 500 + KEY)
    assert len(caught.request_id) <= 200
    assert caught.request_id.isprintable()


# Secrets


@pytest.mark.parametrize("position", [0, 10, 64 * 1024 - 5, 64 * 1024])
def test_secrets_are_removed_before_the_body_is_truncated(position):
    """No part of a key remains at the end."""
    body = b"x" * position + KEY.encode() + b"y" * 100_000
    cleaned = Redactor(KEY).clean(body)
    assert len(cleaned) <= 64 * 1024
    assert KEY.encode()[:8] not in cleaned


def escaped(text):
    return "".join(f"\\u{ord(c):04x}" for c in text)


@pytest.mark.parametrize(
    "body",
    [
        f'{{"message": "the key {KEY} is wrong"}}',
        f'{{"message": "wrong", "details": [{{"name": "key", "value": "{KEY}"}}]}}',
        f'{{"message": "the key {KEY.replace("/", chr(92) + "/")} is wrong"}}',
        f'{{"message": "the key {escaped(KEY)} is wrong"}}',
        f'{{"message": "wrong", "details": [{{"name": "key", "value": "{escaped(KEY)}"}}]}}',
        f"<html>{KEY}</html>",
    ],
)
def test_an_echoed_key_is_redacted(body):
    """However the API or a proxy encodes the key, no part of the error holds it."""
    caught = error(401, body.encode(), X_Request_Id=f"id-{KEY}")
    shown = [str(caught), repr(caught), repr(caught.__dict__), caught.body.decode(), repr(caught.details)]
    assert not [text for text in shown if KEY in text or escaped(KEY) in text]


def test_a_key_with_json_syntax_in_it_is_redacted_too():
    """Quotes and backslashes, which JSON escapes."""
    key = 'a"b\\c' * 3
    body = msgspec.json.encode({"message": f"bad key {key}"})
    caught = status_error(GET, answer(401, body), Redactor(key), now=NOW, attempts=1)
    assert key not in caught.message
    assert key not in str(caught)


def test_a_confidential_answer_is_never_shown():
    """Neither status errors nor decoding errors quote an answer with a presigned form."""
    request = Request("POST", "/files", b"{}", confidential=True)
    body = b'{"id": 7, "upload_fields": {"signature": "presigned-value"}}'
    refused = status_error(request, answer(500, body), Redactor(KEY), now=NOW, attempts=1)
    with pytest.raises(DecodeError) as caught:
        decode(decoder_for(Run), request, answer(201, body), Redactor(KEY))
    for problem in (refused, caught.value):
        assert b"presigned" not in problem.body
        assert "presigned" not in str(problem)


def test_a_redactor_does_not_show_its_secrets():
    """In its repr."""
    assert KEY not in repr(Redactor(KEY))


# Decoding

RUN = {
    "id": "r-1",
    "name": "n",
    "agent_id": "a",
    "process_id": "p",
    "stage": "Published",
    "status": "Running",
    "created_at": "2021-01-01T12:00:00",
    "file_ids": None,
    "outputs": None,
}


def decoded(value, kind=Run, **headers):
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return decode(decoder_for(kind), GET, answer(200, body, **headers), Redactor(KEY))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({**RUN, "id": 7}, "$.id"),
        ({**RUN, "created_at": "yesterday"}, "$.created_at"),
        ({**RUN, "outputs": [{"name": "a", "value": 1}, {"name": 2}]}, "$.outputs[1].name"),
        ({**RUN, "outputs": [{"name": "a", "value": {}}]}, "$.outputs[0].value"),
        ({**RUN, "file_ids": "f"}, "$.file_ids"),
        ({k: v for k, v in RUN.items() if k != "status"}, "$"),
        ([], "$"),
    ],
)
def test_an_invalid_field_is_named(value, path):
    """`DecodeError.path` names it, `.body` shows it, and the answer is not malformed."""
    with pytest.raises(DecodeError, match="GET /runs/r-1: 200") as caught:
        decoded(value)
    assert caught.value.path == path
    assert caught.value.body == msgspec.json.encode(value)
    assert not caught.value.malformed


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "an empty body"),
        (b"<html></html>", "HTML page"),
        (b'{"id": "r', "something"),
        (b"\xff\xff", "something"),
        (b'{"x":' * 100_000, "something"),
    ],
)
def test_a_body_that_is_not_json_is_malformed(body, words):
    """The message says what was received; waits continue after such errors."""
    with pytest.raises(DecodeError, match=words) as caught:
        decoded(body)
    assert caught.value.malformed
    assert caught.value.path == "$"


def test_html_is_recognized_by_its_content_type():
    """Even if the body begins otherwise."""
    with pytest.raises(DecodeError, match="HTML"):
        decoded(b"  login please", Content_Type="text/html; charset=utf-8")


def test_a_decoding_error_does_not_contain_the_key():
    """Neither its body, its message nor a chained error."""
    with pytest.raises(DecodeError) as caught:
        decoded({**RUN, "stage": KEY, "id": {KEY: 1}})
    problem = caught.value
    assert KEY not in str(problem)
    assert KEY.encode() not in problem.body
    assert problem.__cause__ is None


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_decode_error(body):
    """No answer raises another error."""
    try:
        text = decoded(body, Health).status
    except DecodeError as problem:
        text = str(problem).isprintable()
    assert text


def test_raw_json_is_not_decoded():
    """`request()` without a type returns the bytes."""
    assert bytes(decoded(b' {"a": [1, 2]} ', msgspec.Raw)).strip() == b'{"a": [1, 2]}'


@pytest.mark.parametrize("ahead", [-300, 0, 300])
def test_a_retry_after_date_is_relative_to_the_date_header(ahead):
    """Both are of one clock, which may differ from the local one."""
    there = NOW + timedelta(seconds=ahead)
    headers = {
        "Date": format_datetime(there, usegmt=True),
        "Retry-After": format_datetime(there + timedelta(seconds=7), usegmt=True),
    }
    response = Response(429, CIMultiDict(headers), b"")
    assert status_error(GET, response, Redactor(KEY), now=NOW, attempts=1).retry_after == 7
    del response.headers["Date"]
    refused = status_error(GET, response, Redactor(KEY), now=NOW, attempts=1)
    assert refused.retry_after == max(0, ahead + 7)
    for unusable in ("yesterday", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"):
        response.headers["Date"] = unusable
        refused = status_error(GET, response, Redactor(KEY), now=NOW, attempts=1)
        assert refused.retry_after == max(0, ahead + 7)


def test_neither_repr_shows_bodies_queries_or_headers():
    """Nor does rich, which shows the fields of structs."""
    request = Request("POST", "/files?token=hidden", b"hidden", confidential=True)
    response = Response(200, CIMultiDict({"Set-Cookie": "hidden"}), b"hidden")
    for shown in (repr([request, response]), str(request), pretty_repr([request, response])):
        assert "hidden" not in shown
        assert "/files" in shown
    assert "6 bytes" in repr(response)


@pytest.mark.parametrize(
    ("identity", "body", "another"),
    [
        ("run-1", {"id": "run-1"}, False),
        ("run-1", {"id": "run-2"}, True),
        ("run-1", {"id": "../files?x"}, False),
        ("organizations/o/runs/r1", {"name": "organizations/p/runs/r1"}, False),
        ("organizations/o/runs/r1", {"name": "organizations/o/runs/r2"}, True),
        ("organizations/o/runs/r1", {"name": "short"}, False),
    ],
)
def test_an_answer_with_another_id_is_refused(identity, body, another):
    """Text that cannot be an id is ignored."""

    class Resource(msgspec.Struct):
        id: str = ""
        name: str = ""

    member = "name" if "/" in identity else "id"
    request = Request("GET", "/x", identity=(member, identity))
    response = Response(200, {}, msgspec.json.encode(body))
    decoding = functools.partial(decode, decoder_for(Resource), request, response, Redactor("key"))
    if not another:
        assert isinstance(decoding(), Resource)
        return
    with pytest.raises(DecodeError, match="answer to another request") as caught:
        decoding()
    assert (caught.value.path, caught.value.malformed) == (f"$.{member}", True)
    assert caught.value.body == response.body
    assert caught.value.other_resource
    confidential = msgspec.structs.replace(request, confidential=True)
    with pytest.raises(DecodeError) as caught:
        decode(decoder_for(Resource), confidential, response, Redactor("key"))
    assert caught.value.body == b""


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (400, b'{"message": "No such input."}', "400, No such input. Check the arguments."),
        (400, b'{"Message": "No such input"}', "400, No such input. Check the arguments."),
        (401, b"", "401, no explanation. Check the key and that it belongs to this region."),
        (403, b"{}", "403, no explanation. Check what the key may do and that it belongs to this region."),
        (404, b"[]", "404, no explanation. Check the id, agent or workspace, and that the key may see it."),
        (409, b"", "409, no explanation. Read the resource again before changing it."),
        (429, b"", "429, no explanation. Send less, or set requests_per_second."),
        (500, b" <html>", "500, an HTML page, perhaps from a proxy. Try again later."),
        (599, b"", "599, no explanation. Try again later."),
        (300, b"", "300, no explanation. Redirects are never followed: check base_url."),
        (399, b"", "399, no explanation. Redirects are never followed: check base_url."),
        (418, b"", "418, no explanation. Check the request."),
    ],
)
def test_a_refusal_says_what_came_and_what_to_do(status, body, text):
    """The API's words, or what came instead of them."""
    assert str(error(status, body)) == f"GET /runs/r-1: {text}"


def test_a_refusal_that_may_hold_secrets_says_that_its_words_are_not_shown():
    confidential = msgspec.structs.replace(GET, confidential=True)
    text = str(error(401, b'{"message": "Unauthorized"}', confidential))
    assert "401, an explanation that is not shown because it may hold secrets. Check the key" in text
    assert "Unauthorized" not in text
    assert "401, no explanation. Check the key" in str(error(401, b"", confidential))


@pytest.mark.parametrize(
    ("body", "came"),
    [
        (b"", "an empty body instead of JSON"),
        (b" <html>", "an HTML page, perhaps from a proxy, instead of JSON"),
        (b'{"status": "O', "something instead of JSON"),
    ],
)
def test_an_answer_that_is_no_json_says_what_it_is(body, came):
    """In the place of what was wrong in it."""

    def as_text(body):
        raise msgspec.DecodeError("no JSON")

    class Decoder:
        decode = staticmethod(as_text)

    with pytest.raises(DecodeError) as caught:
        decode(Decoder(), GET, answer(200, body), Redactor(KEY))
    text = str(caught.value)
    assert text.startswith("GET /runs/r-1: 200 with an answer that is not as documented at $: " + came)


def test_the_full_organization_says_that_nothing_was_started():
    """And when to start again."""
    refused = error(403, b'{"message": "at capacity"}', START_REQUEST)
    assert str(refused) == (
        "POST /runs: 403, at capacity. Nothing was started. Start again when some runs have settled."
    )


@pytest.mark.parametrize(
    ("what", "run_id"),
    [
        (Request("GET", "/runs/r-1"), "r-1"),
        (Request("GET", "/runs/a%2Fb%20c?view=full"), "a/b c"),
        (Request("POST", "/organizations/o/workspaces/w/automations/a/runs/r7:reply"), "r7"),
        (Request("GET", "/runs"), None),
        (Request("GET", "/health"), None),
        (StoreRequest("POST", "https://store.example"), None),
        ("text", None),
    ],
)
def test_a_request_about_a_run_tells_its_id(what, run_id):
    """For the records of a log."""
    assert run_id_of(what) == run_id


def test_what_goes_to_the_file_store_is_called_so():
    """Its address is a secret."""
    assert str(StoreRequest("POST", "https://store.example")) == "upload to the file store"


def test_rich_shows_what_a_request_and_an_answer_are():
    """By name."""
    assert pretty_repr(GET) == "Request(method='GET', path='/runs/r-1')"
    assert pretty_repr(answer(200, b"hidden")) == "Response(status=200, size=6)"


def test_a_body_without_a_secret_stays_as_it_is():
    """To the byte, escapes and blanks included; a secret in it is replaced by one word."""
    redactor = Redactor("secret")
    for body in (b'{"a":   "\\u0041"}', b"plain", b"\\ no JSON"):
        assert redactor.clean(body) == redactor.remove(body) == body
    assert redactor.remove(b"a secret, a secret") == b"a [redacted], a [redacted]"
    assert redactor.remove(b'{"a":   "s\\u0065cret"}') == b'{"a":"[redacted]"}'
    assert repr(Redactor("", "a", "a", "b")) == "Redactor(2 secrets)"


@pytest.mark.parametrize(
    "date",
    ["Mon, 03 Feb 2031 05:05:06 +0100", "Mon, 03 Feb 2031 04:05:06 -0000", "Mon, 03 Feb 2031 04:05:06 GMT"],
)
def test_the_date_of_an_answer_may_have_any_offset(date):
    """None means UTC."""
    later = format_datetime(NOW + timedelta(seconds=9), usegmt=True)
    response = answer(429, b"", Date=date, Retry_After=later)
    refused = status_error(GET, response, Redactor(KEY), now=NOW + timedelta(hours=5), attempts=1)
    assert refused.retry_after == 9
