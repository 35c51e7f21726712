"""The file store: what it takes, and what it refuses and why."""

from __future__ import annotations

import base64
import hashlib
import io
import tracemalloc

import aiohttp
import pytest

from kognitos_async.testing import faults

ORDER = ["key", "AWSAccessKeyId", "x-amz-security-token", "policy", "signature", "Content-Type"]


async def form_for(api, file_name="invoice.pdf", **body):
    answer = await api.send("POST", "/v2/files", json={"file_name": file_name, **body})
    assert answer.status == 201, answer.body
    return answer.json


async def upload(api, form, content=b"%PDF-1.7", *, fields=None, after=(), headers=None):
    """(status, S3 code) of an upload."""
    data = aiohttp.FormData(default_to_multipart=True)
    for name, value in form["upload_fields"].items() if fields is None else fields:
        data.add_field(name, value)
    if content is not None:
        data.add_field("file", content, filename="invoice.pdf", content_type="application/octet-stream")
    for name, value in after:
        data.add_field(name, value)
    async with api.session.post(form["upload_url"], data=data, headers=headers) as response:
        text = await response.text()
        code = text.partition("<Code>")[2].partition("</Code>")[0]
        assert bool(text) == bool(code)
        return response.status, code


async def test_a_form_lists_its_fields_in_order(api):
    form = await form_for(api, "My invoice?.pdf", agent_id=api.server.agent_id)
    assert list(form["upload_fields"]) == ORDER
    assert form["upload_fields"]["Content-Type"] == "application/pdf"
    assert form["upload_http_method"] == "POST"
    assert form["upload_http_headers"] == {}
    assert form["upload_url"].startswith(f"{api.server.url}/_files/")
    assert form["file_name"] == "My_invoice_.pdf"
    assert form["id"] not in api.server.files


@pytest.mark.parametrize(
    ("given", "stored"),
    [("../../etc/passwd", "passwd"), (".hidden", "hidden"), ("ä" * 9, "_"), ("...", "file")],
)
async def test_file_names_are_made_harmless(api, given, stored):
    assert (await form_for(api, given))["file_name"] == stored


async def test_an_upload_is_stored_and_serves_a_run(api):
    form = await form_for(api)
    refused = await api.start(file_ids=[form["id"]])
    assert refused.status == 404
    assert form["id"] in refused.json["message"]
    assert await upload(api, form) == (204, "")
    stored = api.server.files[form["id"]]
    assert stored.content == b"%PDF-1.7"
    assert stored.content_length == 8
    assert stored.sha256 == hashlib.sha256(b"%PDF-1.7").hexdigest()
    assert (stored.file_name, stored.content_type) == ("invoice.pdf", "application/pdf")
    assert (await api.start(file_ids=[form["id"]])).json["file_ids"] == [form["id"]]
    assert api.server.count("upload_file", status=204) == 1


async def test_files_expire(api):
    """A start that names one is refused from then on."""
    for name in "abc":
        api.server.add_file(f"{name}.txt", id=name)
    api.server.expire_files("a")
    assert list(api.server.files) == ["b", "c"]
    assert (await api.start(file_ids=["b"])).status == 201
    refused = await api.start(file_ids=["b", "a"])
    assert (refused.status, refused.json["message"]) == (404, "File a not found or not uploaded")
    with pytest.raises(KeyError):
        api.server.expire_files("a")
    api.server.expire_files()
    assert not api.server.files


async def test_unknown_files_pass_when_not_strict(make):
    api = await make(strict_files=False)
    assert (await api.start(file_ids=["anything"])).status == 201


@pytest.mark.parametrize("name", ORDER)
async def test_every_field_is_needed_before_the_file(api, name):
    form = await form_for(api)
    fields = [(key, value) for key, value in form["upload_fields"].items() if key != name]
    status, code = await upload(api, form, fields=fields)
    assert (status, code) == ((400, "InvalidArgument") if name == "key" else (403, "AccessDenied"))
    late = [(name, form["upload_fields"][name])]
    assert (await upload(api, form, fields=fields, after=late))[0] in {400, 403}
    assert not api.server.files


async def test_nothing_may_follow_the_file(api):
    form = await form_for(api)
    assert await upload(api, form, after=[("submit", "Upload")]) == (400, "InvalidArgument")
    assert not api.server.files


async def test_a_file_is_needed(api):
    assert await upload(api, await form_for(api), None) == (400, "InvalidArgument")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("key", "AccessDenied"),
        ("AWSAccessKeyId", "InvalidAccessKeyId"),
        ("x-amz-security-token", "AccessDenied"),
        ("policy", "SignatureDoesNotMatch"),
        ("signature", "SignatureDoesNotMatch"),
        ("Content-Type", "AccessDenied"),
    ],
)
async def test_a_changed_field_is_refused(api, name, code):
    form = await form_for(api)
    fields = {**form["upload_fields"], name: form["upload_fields"][name] + "x"}
    assert await upload(api, form, fields=fields.items()) == (403, code)


async def test_a_field_the_policy_does_not_know_is_refused(api):
    form = await form_for(api)
    fields = [*form["upload_fields"].items(), ("acl", "public-read")]
    assert await upload(api, form, fields=fields) == (403, "AccessDenied")


async def test_a_form_expires(make):
    api = await make(form_lifetime=60)
    form = await form_for(api)
    assert b"expiration" in base64.b64decode(form["upload_fields"]["policy"])
    api.server.advance(59)
    assert await upload(api, form) == (204, "")
    api.server.advance(3)
    assert await upload(api, form) == (403, "AccessDenied")
    assert await upload(api, await form_for(api)) == (204, "")


async def test_files_above_the_limit_are_refused(make):
    api = await make(max_file_size=100_000)
    form = await form_for(api)
    assert await upload(api, form, io.BytesIO(b"x" * 100_001)) == (400, "EntityTooLarge")
    assert await upload(api, form, io.BytesIO(b"x" * 3_000_000)) == (400, "EntityTooLarge")
    assert not api.server.files
    assert await upload(api, form, io.BytesIO(b"x" * 100_000)) == (204, "")


async def test_chunked_bodies_are_refused(api):
    form = await form_for(api)

    async def pieces():
        yield b"--b\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    async with api.session.post(form["upload_url"], data=pieces(), headers=headers) as response:
        assert response.status == 411
        assert "<Code>MissingContentLength</Code>" in await response.text()


async def test_an_api_key_that_leaks_is_refused_and_counted(api):
    form = await form_for(api)
    assert await upload(api, form, headers={"x-api-key": "test-key"}) == (400, "InvalidArgument")
    assert api.server.leaks == 1
    assert not api.server.files


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; boundary=b", b"nothing like it"),
        ("multipart/form-data", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\nhalf'),
        ("application/json", b"{}"),
    ],
)
async def test_bodies_that_are_no_form_are_refused(api, content_type, body):
    form = await form_for(api)
    headers = {"Content-Type": content_type}
    async with api.session.post(form["upload_url"], data=body, headers=headers) as response:
        assert 400 <= response.status < 500
        assert "<Error><Code>" in await response.text()


async def test_other_buckets_and_methods_are_refused(api, session):
    form = await form_for(api)
    assert await upload(api, {**form, "upload_url": f"{api.server.url}/_files/other"}) == (
        404,
        "NoSuchBucket",
    )
    async with session.get(form["upload_url"]) as response:
        assert response.status == 405


async def test_a_peer_that_expects_100_continue_gets_it(api):
    form = await form_for(api)
    data = aiohttp.FormData()
    for name, value in form["upload_fields"].items():
        data.add_field(name, value)
    data.add_field("file", b"x", filename="x")
    async with api.session.post(form["upload_url"], data=data, expect100=True) as response:
        assert response.status == 204


async def test_a_peer_that_leaves_in_the_middle_leaves_nothing(api):
    form = await form_for(api)
    with pytest.raises(TimeoutError):
        await api.session.post(
            form["upload_url"],
            data=b"--b\r\n",
            headers={"Content-Type": "multipart/form-data; boundary=b", "Content-Length": "1000"},
            timeout=aiohttp.ClientTimeout(total=0.05),
        )
    assert not api.server.files


async def test_large_uploads_take_constant_memory(make, tmp_path):
    api = await make(keep_content_limit=1000)
    form = await form_for(api)
    size = 24 * 1024 * 1024

    path = tmp_path / "zeros"
    with path.open("wb") as empty:
        empty.truncate(size)
    tracemalloc.start()
    try:
        with path.open("rb") as source:
            assert await upload(api, form, source) == (204, "")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    stored = api.server.files[form["id"]]
    assert (stored.content_length, stored.content) == (size, None)
    assert peak < 8 * 1024 * 1024


async def test_faults_strike_the_file_store_too(api):
    form = await form_for(api)
    api.server.misbehave("upload_file", faults.unavailable())
    assert await upload(api, form) == (503, "SlowDown")
    api.server.misbehave("upload_file", faults.reset(after_work=True))
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await upload(api, form)
    assert form["id"] in api.server.files
