"""Files of the platform API: multipart uploads, downloads, presigned URLs."""

from __future__ import annotations

import aiohttp
import pytest


@pytest.fixture
async def api(platform):
    api = await platform()
    api.files = f"organizations/{api.platform.organization_id}/files"
    return api


def body(*parts, boundary="edge"):
    text = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (boundary.encode(), name, b'; filename="x"' if name == b"content" else b"", content)
        for name, content in parts
    )
    return text + b"--%s--\r\n" % boundary.encode()


async def upload(api, *parts, **headers):
    kind = {"Content-Type": "multipart/form-data; boundary=edge", **headers}
    return await api.send("POST", f"{api.files}:upload", data=body(*parts), headers=kind)


async def test_an_uploaded_file_can_be_described_downloaded_and_deleted(api):
    answer = await upload(api, (b"filename", b"bill.pdf"), (b"content", b"%PDF\r\n\x00"))
    assert answer.status == 201
    metadata = answer.json["metadata"]
    assert answer.headers["Location"].endswith(metadata["name"])
    assert (metadata["filename"], metadata["mime_type"]) == ("bill.pdf", "application/pdf")
    assert metadata["size_bytes"] == "7"
    (file,) = api.platform.files.values()
    assert file.name == metadata["name"]
    assert (await api.get(f"{file.name}/metadata")).json == metadata
    content = await api.get(f"{file.name}:download")
    assert content.body == b"%PDF\r\n\x00"
    assert content.headers["Content-Length"] == "7"
    assert content.headers["Content-Type"] == "application/octet-stream"
    assert (await api.send("DELETE", file.name)).json == {}
    assert not api.platform.files
    assert (await api.send("DELETE", file.name)).status == 404
    missing = await api.get(f"{file.name}:download")
    assert (missing.status, missing.json["code"]) == (404, 5)


async def test_an_invocation_needs_its_files(platform):
    """Wherever they stand among its inputs, until they expire."""
    api = await platform()
    kept, gone = (api.platform.add_file(name) for name in ("kept.txt", "gone.txt"))
    api.platform.expire_files(gone.id)

    async def invoked(*files):
        items = [{"file": {"remote": file}} for file in files]
        inputs = {"all": {"list": {"items": items}}, "inline": {"file": {"inline": {"content": ""}}}}
        path = f"{api.platform.automation.name}:invoke"
        return await api.send("POST", path, json={"stage": "AUTOMATION_STAGE_PUBLISHED", "inputs": inputs})

    assert (await invoked(kept.name)).status == 200
    for missing in (gone.name, f"organizations/other/files/{kept.id}"):
        refused = await invoked(kept.name, missing)
        assert (refused.status, refused.json["message"]) == (404, f"File {missing} was not found")
    api.platform.expire_files()
    assert (await invoked(kept.name)).status == 404


async def test_aiohttps_own_forms_are_taken(api):
    form = aiohttp.FormData()
    form.add_field("filename", "ünïcode.txt")
    form.add_field("content", b"", filename="x")
    answer = await api.send("POST", f"{api.files}:upload", data=form)
    assert answer.status == 201
    (file,) = api.platform.files.values()
    assert (file.filename, file.content) == ("ünïcode.txt", b"")


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [(b"filename", b"a")],
        [(b"content", b"a")],
        [(b"filename", b""), (b"content", b"a")],
        [(b"filename", b"a"), (b"filename", b"b"), (b"content", b"a")],
        [(b"filename", b"a"), (b"content", b"a"), (b"content", b"a")],
        [(b"file_name", b"a"), (b"content", b"a")],
        [(b"filename", b"a" * 2000), (b"content", b"a")],
    ],
)
async def test_other_parts_are_refused(api, parts):
    answer = await upload(api, *parts)
    assert (answer.status, answer.json["code"]) == (400, 3)
    assert not api.platform.files


async def test_an_upload_is_multipart_and_says_how_long_it_is(api):
    async def pieces():
        yield body((b"filename", b"a"), (b"content", b"a"))

    kind = {"Content-Type": "multipart/form-data; boundary=edge"}
    assert (await api.send("POST", f"{api.files}:upload", data=pieces(), headers=kind)).status == 411
    assert (await api.send("POST", f"{api.files}:upload", json={})).status == 400
    for broken in (
        b"--",
        b"--edge\r\nno header\r\n\r\nx\r\n--edge--\r\n",
        b"--edge\r\n\x00: x\r\n\r\n--edge--",
    ):
        assert (await api.send("POST", f"{api.files}:upload", data=broken, headers=kind)).status == 400


async def test_files_have_a_largest_size_and_large_ones_are_not_kept(platform):
    api = await platform(max_file_size=1000, keep_content_limit=100)
    api.files = f"organizations/{api.platform.organization_id}/files"
    assert (await upload(api, (b"filename", b"a"), (b"content", b"a" * 1001))).status == 413
    assert (await upload(api, (b"filename", b"a"), (b"content", b"a" * 1000))).status == 201
    (file,) = api.platform.files.values()
    assert (file.size, file.content) == (1000, None)
    assert (await api.get(f"{file.name}:download")).status == 404
    assert (await api.get(f"{file.name}/metadata")).json["size_bytes"] == "1000"


async def test_presigned_urls_work_without_the_token(api):
    file = api.platform.add_file("a.txt", b"content")
    url = (await api.post(f"{file.name}:generateDownloadUrl")).json["download_uri"]
    assert url.startswith(api.server.url)
    async with api.session.get(url) as response:
        assert (response.status, await response.read()) == (200, b"content")
        assert response.headers["Content-Length"] == "7"
    url = (await api.post(f"{api.files}:generateUploadUrl", {"expire_duration": "60s"})).json["upload_uri"]
    async with api.session.put(url, data=b"raw bytes") as response:
        assert response.status == 200
    assert [stored.content for stored in api.platform.files.values()] == [b"content", b"raw bytes"]
    assert api.server.count("put_object", status=200) == api.server.count("get_object", status=200) == 1
    assert api.server.leaks == 0


@pytest.mark.parametrize("header", ["Authorization", "x-api-key"])
async def test_a_key_sent_to_a_presigned_url_is_a_leak(api, header):
    file = api.platform.add_file("a.txt", b"content")
    url = (await api.post(f"{file.name}:generateDownloadUrl")).json["download_uri"]
    async with api.session.get(url, headers={header: "Bearer x"}) as response:
        assert response.status == 400
    assert api.server.leaks == 1


async def test_presigned_urls_end_and_cannot_be_changed(api):
    file, other = api.platform.add_file("a", b"a"), api.platform.add_file("b", b"b")
    url = (await api.post(f"{file.name}:generateDownloadUrl", {"expire_duration": "10s"})).json[
        "download_uri"
    ]
    for wrong in (url.replace(file.id, other.id), url + "x", url.replace("expires=", "expires=9")):
        async with api.session.get(wrong) as response:
            assert response.status == 403
            assert b"SignatureDoesNotMatch" in await response.read()
    async with api.session.put(url, data=b"x") as response:
        assert response.status == 403
    api.server.advance(11)
    async with api.session.get(url) as response:
        assert response.status == 403
        assert b"expired" in await response.read()
    for wrong in ("10", "10m", "-1s", 10):
        assert (await api.post(f"{file.name}:generateDownloadUrl", {"expire_duration": wrong})).status == 400
    assert (await api.post(f"{api.files}/unknown:generateDownloadUrl")).status == 404
