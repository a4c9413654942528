"""Downloads end with the published bytes in place, or with nothing there and a reason."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from command_line import Done, listing, secateur
from loopback import Answer, Server, serving
from secateur.cli.bytes_bar import BytesBar
from secateur.data import DataFile, DataSet
from secateur.data import transfer as transfer_module
from secateur.data.fetch import Downloaded, Patience, checksum_of, download, is_published
from secateur.data.web import _Redirects
from secateur.errors import DataFileError

BODY = np.random.default_rng(0).bytes(40_000)
OTHER = np.random.default_rng(1).bytes(40_000)
MD5 = f"md5:{hashlib.md5(BODY).hexdigest()}"
OTHER_MD5 = f"md5:{hashlib.md5(OTHER).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
QUICK = Patience(timeout=5, tries=3, pause=0.001)
TAG = '"one"'


def published(server: Server, **changes) -> DataFile:
    """Return the file that the server should give, with all that is known of it."""
    known = {"path": "set/raw/file.bin", "url": server.url(), "checksum": MD5, "n_bytes": 40_000}
    return DataFile(**{**known, **changes})


def got(folder: Path) -> dict[str, bytes]:
    """Return the files below the folder, without the folders."""
    return {name: data for name, data in listing(folder).items() if data != b"folder"}


def left(folder: Path) -> bytes:
    """Return what an unfinished download kept; nothing stands under the final name."""
    files = got(folder)
    assert set(files) == {"set/raw/file.bin.part", "set/raw/file.bin.part.json"}
    return files["set/raw/file.bin.part"]


def refused(folder: Path, file: DataFile, patience: Patience = QUICK) -> str:
    with pytest.raises(DataFileError) as caught:
        download(file, folder, patience=patience)
    return str(caught.value)


# -- what goes well ---------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [MD5, MD5.upper().replace("MD5", "md5"), SHA256])
@pytest.mark.parametrize("n_bytes", [0, 40_000])
def test_the_published_bytes_are_put_into_place_and_nothing_else(tmp_path, checksum, n_bytes):
    seen = []
    with serving(Answer(body=BODY)) as server:
        file = published(server, checksum=checksum, n_bytes=n_bytes)
        done = download(file, tmp_path, progress=lambda *now: seen.append(now))
    place = tmp_path / "set/raw/file.bin"
    assert done == Downloaded(path=place, was_there=False, checked=True)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
    assert seen[0] == (0, 40_000, "set/raw/file.bin")
    assert seen[-1] == (40_000, 40_000, "set/raw/file.bin")
    assert [n for n, _, _ in seen] == sorted(n for n, _, _ in seen)
    assert server.asked[0]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("answer", [Answer(body=BODY, length=-1), Answer(body=BODY, chunked=True)])
@pytest.mark.parametrize("n_bytes", [0, 40_000])
@pytest.mark.parametrize("checksum", ["", MD5])
def test_a_server_that_announces_no_length_is_read_to_its_end(tmp_path, answer, n_bytes, checksum):
    seen = []
    with serving(answer) as server:
        file = published(server, n_bytes=n_bytes, checksum=checksum)
        done = download(file, tmp_path, progress=lambda *now: seen.append(now), patience=QUICK)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
    assert done.checked == bool(checksum)
    assert {total for _, total, _ in seen} == {n_bytes}


def test_a_right_file_is_left_alone_and_the_server_is_not_asked(tmp_path):
    with serving(Answer(body=BODY)) as server:
        first = download(published(server), tmp_path)
        before = first.path.stat().st_mtime_ns
        again = download(published(server), tmp_path)
        unknown = download(published(server, checksum="", n_bytes=0), tmp_path)
    assert again == Downloaded(path=first.path, was_there=True, checked=True)
    assert unknown == Downloaded(path=first.path, was_there=True, checked=False)
    assert first.path.stat().st_mtime_ns == before
    assert len(server.asked) == 1


def test_a_wrong_file_in_the_place_is_an_error_and_stays_as_it_is(tmp_path):
    place = tmp_path / "set/raw/file.bin"
    place.parent.mkdir(parents=True)
    place.write_bytes(OTHER)
    with serving(Answer(body=BODY)) as server:
        told = refused(tmp_path, published(server))
        assert f"{place} is there already, but it is not the published file" in told
        assert OTHER_MD5 in told and MD5 in told and "Move it away or delete it" in told
        short = refused(tmp_path, published(server, checksum="", n_bytes=3))
        assert "it has 40,000 bytes, the published file 3" in short
    assert got(tmp_path) == {"set/raw/file.bin": OTHER}
    assert server.asked == []


def test_a_folder_in_the_place_is_an_error(tmp_path):
    (tmp_path / "set/raw/file.bin").mkdir(parents=True)
    with serving(Answer(body=BODY)) as server:
        assert "file.bin is no file: move it away" in refused(tmp_path, published(server))


def test_redirects_are_followed_with_the_range(tmp_path):
    moved = Answer(status=302, headers={"Location": "/elsewhere"})
    cut = Answer(body=BODY, sent=10_000, etag=TAG)
    with serving(moved, cut, moved, Answer(body=BODY, etag=TAG)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
    assert [a[":path"] for a in server.asked] == ["/file.bin", "/elsewhere"] * 2
    assert server.ranges == ["", "", "bytes=10000-", "bytes=10000-"]


# -- breaking off and going on ------------------------------------------------------------------


def test_a_connection_that_breaks_in_the_middle_goes_on_within_the_same_call(tmp_path):
    script = [Answer(body=BODY, sent=n, etag=TAG) for n in (15_000, 10_000)]
    with serving(*script, Answer(body=BODY, etag=TAG)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
    assert server.ranges == ["", "bytes=15000-", "bytes=25000-"]
    assert [a.get("If-Range") for a in server.asked] == [None, TAG, TAG]


def test_what_came_is_kept_and_the_same_command_goes_on_from_it(tmp_path):
    when = "Wed, 21 Oct 2015 07:28:00 GMT"
    cut, silent = Answer(body=BODY, sent=9_000, modified=when), Answer(hang_up=True)
    with serving(cut, silent) as server:
        told = refused(tmp_path, published(server))
        assert left(tmp_path) == BODY[:9_000]
        assert "could not be downloaded in 3 tries: 9,000 of 40,000 bytes came, then: " in told
        assert "file.bin.part keeps them: the same command goes on from there" in told
        server.script, server.asked[:] = [Answer(body=BODY, modified=when)], []
        seen = []
        download(published(server), tmp_path, progress=lambda *now: seen.append(now))
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
    assert server.ranges == ["bytes=9000-"] and server.asked[0]["If-Range"] == when
    assert seen[0][0] == 9_000


def test_when_nothing_came_nothing_is_left(tmp_path):
    with serving(Answer(hang_up=True)) as server:
        told = refused(tmp_path, published(server))
    assert "0 of 40,000 bytes came" in told and "try the same command again later" in told
    assert len(server.asked) == 3
    assert got(tmp_path) == {}


def test_a_broken_chunk_is_a_broken_connection(tmp_path):
    with serving(Answer(body=BODY, chunked=True, sent=700, etag=TAG)) as server:
        assert "700 of 40,000 bytes came" in refused(
            tmp_path, published(server), Patience(tries=1, timeout=5)
        )
        assert left(tmp_path) == BODY[:700]
        server.script = [Answer(body=BODY, etag=TAG)]
        download(published(server), tmp_path)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


@pytest.mark.parametrize("checksum", [MD5, ""])
def test_a_file_that_changed_between_tries_is_begun_anew(tmp_path, checksum):
    old = Answer(body=OTHER, sent=20_000, etag='"old"')
    with serving(old, Answer(body=BODY, etag='"new"')) as server:
        download(published(server, checksum=checksum), tmp_path, patience=QUICK)
    assert server.ranges == ["", "bytes=20000-"]
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_a_change_is_seen_even_if_the_server_ignores_if_range(tmp_path):
    old = Answer(body=OTHER, sent=20_000, etag='"old"')
    with serving(old, Answer(body=BODY, etag='"new"', if_range=False)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert server.ranges == ["", "bytes=20000-", ""]
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_a_file_that_became_shorter_than_the_part_is_begun_anew(tmp_path):
    long = Answer(body=OTHER + OTHER, sent=60_000, length=80_000)
    with serving(long, Answer(body=BODY)) as server:
        file = published(server, n_bytes=0)
        download(file, tmp_path, patience=QUICK)
    assert server.ranges == ["", "bytes=60000-", ""]  # 416 in between
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_a_server_that_ignores_ranges_begins_anew(tmp_path):
    cut = Answer(body=BODY, sent=30_000, etag=TAG, ranges=False)
    with serving(cut, Answer(body=BODY, etag=TAG, ranges=False)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert server.ranges == ["", "bytes=30000-"]
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_without_a_way_to_tell_files_apart_bytes_of_two_tries_are_not_mixed(tmp_path):
    weak = 'W/"one"'
    cut = Answer(body=OTHER, sent=30_000, etag=weak)
    with serving(cut, Answer(body=BODY, etag=weak)) as server:
        download(published(server, checksum=""), tmp_path, patience=QUICK)
        assert server.ranges == ["", ""]
        assert got(tmp_path) == {"set/raw/file.bin": BODY}
        (tmp_path / "set/raw/file.bin").unlink()
        server.script, server.asked[:] = [cut], []
        told = refused(tmp_path, published(server, checksum=""))
    assert "try the same command again later" in told
    assert got(tmp_path) == {}


def test_a_checksum_is_enough_to_go_on_and_finds_out_mixed_bytes(tmp_path):
    with serving(Answer(body=BODY, sent=30_000), Answer(body=BODY)) as server:
        download(published(server), tmp_path, patience=QUICK)
        assert server.ranges == ["", "bytes=30000-"]
        (tmp_path / "set/raw/file.bin").unlink()
        server.script = [Answer(body=OTHER, sent=30_000), Answer(body=BODY)]
        told = refused(tmp_path, published(server))
        mixed = hashlib.md5(OTHER[:30_000] + BODY[30_000:]).hexdigest()
        assert f"md5:{mixed}" in told and MD5 in told and "its bytes were removed" in told
        assert got(tmp_path) == {}
        download(published(server), tmp_path)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{",
        b"[]",
        b'{"url": 3}',
        b'{"url": "http://other/", "etag": "\\"one\\"", "last_modified": "", "n_bytes": 40000}',
        b'{"url": "URL", "etag": "\\"one\\"", "last_modified": "", "n_bytes": 39999}',
        b'{"url": "URL", "etag": "\\"one\\"", "last_modified": "", "n_bytes": 40000, "more": 1}',
        b'{"url": "URL", "etag": "\\"one\\"", "last_modified": "", "n_bytes": true}',
        b"[" * 30_000,
        b"\xff\xfe",
    ],
)
def test_a_part_without_a_sound_note_is_begun_anew(tmp_path, note):
    part = tmp_path / "set/raw/file.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(OTHER[:100])
    with serving(Answer(body=BODY, etag=TAG)) as server:
        part.with_name("file.bin.part.json").write_bytes(
            note.replace(b"URL", server.url().encode())
        )
        download(published(server), tmp_path)
    assert server.ranges == [""]
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_a_part_that_is_complete_is_put_into_place_without_asking(tmp_path):
    part = tmp_path / "set/raw/file.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(BODY)
    with serving(Answer(hang_up=True)) as server:
        note = {"url": server.url(), "etag": TAG, "last_modified": "", "n_bytes": 40_000}
        part.with_name("file.bin.part.json").write_text(json.dumps(note))
        download(published(server), tmp_path)
    assert server.asked == []
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_tries_that_bring_much_do_not_count_as_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("secateur.data.fetch.GAIN", 5_000)
    cut = [Answer(body=BODY, sent=5_000, etag=TAG)] * 7
    with serving(*cut, Answer(body=BODY, etag=TAG)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert len(server.asked) == 8
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_a_server_that_breaks_off_at_the_same_place_each_time_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("secateur.data.fetch.GAIN", 5_000)
    with serving(Answer(body=BODY, sent=30_000, etag=TAG, ranges=False)) as server:
        assert "30,000 of 40,000" in refused(tmp_path, published(server))
    assert len(server.asked) == 4  # the first brought something new
    assert left(tmp_path) == BODY[:30_000]


def test_pauses_double_between_tries(tmp_path, monkeypatch):
    slept = []
    monkeypatch.setattr("secateur.data.fetch.sleep", slept.append)
    with serving(Answer(status=503)) as server:
        told = refused(tmp_path, published(server), Patience(tries=5, pause=8))
    assert "the server answers 503 Service Unavailable" in told
    assert slept == [8, 16, 32, 60]


def test_an_answer_of_500_or_429_is_tried_again(tmp_path):
    with serving(Answer(status=500), Answer(status=429), Answer(body=BODY)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


# -- servers that time out ----------------------------------------------------------------------


def test_a_silent_server_times_out_and_keeps_what_came(tmp_path):
    with serving(Answer(body=BODY[:3], length=40_000, pause=0.6, etag=TAG)) as server:
        told = refused(tmp_path, published(server), Patience(timeout=0.2, tries=1))
    assert "1 of 40,000 bytes came, then: timed out" in told
    assert left(tmp_path) == BODY[:1]


def test_a_trickle_slower_than_any_connection_times_out_too(tmp_path):
    with serving(Answer(body=BODY[:100], length=40_000, pause=0.02, etag=TAG)) as server:
        begun = time.monotonic()
        told = refused(tmp_path, published(server), Patience(timeout=0.2, tries=1))
        assert time.monotonic() - begun < 1.5
    assert " bytes came in 0.2 s" in told
    assert left(tmp_path) == BODY[: len(left(tmp_path))]


def test_nobody_listening_and_an_unknown_host_are_said(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/file.bin"
    told = refused(tmp_path, DataFile(path="a", url=address), QUICK)
    assert f"{address} could not be downloaded in 3 tries: 0 bytes came" in told
    assert "refused" in told
    assert got(tmp_path) == {}


# -- servers that lie or give something else ------------------------------------------------------


def test_wrong_bytes_are_removed_and_both_checksums_shown(tmp_path):
    with serving(Answer(body=OTHER)) as server:
        told = refused(tmp_path, published(server))
    assert f"delivered another file: its checksum is {OTHER_MD5} (40,000 bytes)" in told
    assert f"that of the published file {MD5} (40,000 bytes); its bytes were removed" in told
    assert got(tmp_path) == {}


def test_a_length_other_than_the_published_one_is_refused_before_any_byte(tmp_path):
    for body in (BODY[:-1], BODY + b"!"):
        with serving(Answer(body=body)) as server:
            told = refused(tmp_path, published(server))
        assert f"announces {len(body):,} bytes, the published file has 40,000" in told
        assert len(server.asked) == 1
        assert got(tmp_path) == {}


def test_a_server_that_announces_too_little_is_found_out_by_the_checksum(tmp_path):
    with serving(Answer(body=BODY, length=39_000)) as server:
        told = refused(tmp_path, published(server, n_bytes=0))
    assert f"md5:{hashlib.md5(BODY[:39_000]).hexdigest()} (39,000 bytes)" in told and MD5 in told
    assert got(tmp_path) == {}


def test_a_server_that_announces_more_than_it_sends_is_a_short_read(tmp_path):
    with serving(Answer(body=BODY, length=50_000)) as server:
        told = refused(tmp_path, published(server, n_bytes=0), Patience(tries=1, timeout=5))
    assert "40,000 of 50,000 bytes came, then: the server ended the connection early" in told
    assert "the same command goes on from there" in told
    assert left(tmp_path) == BODY


@pytest.mark.parametrize("answer", [Answer(length=-1), Answer(chunked=True)])
def test_without_an_announced_length_no_more_than_the_published_bytes_are_written(tmp_path, answer):
    biggest = []
    answer = Answer(**{**vars(answer), "body": BODY * 200})
    with serving(answer) as server, pytest.raises(DataFileError) as caught:
        download(
            published(server), tmp_path, progress=lambda n, *_: biggest.append(n), patience=QUICK
        )
    assert "sends more than the 40,000 bytes of the file" in str(caught.value)
    assert max(biggest) <= 40_001
    assert got(tmp_path) == {}


def test_a_short_end_without_an_announced_length_is_a_short_read(tmp_path):
    with serving(Answer(body=BODY[:100], length=-1, etag=TAG)) as server:
        assert "100 of 40,000 bytes came" in refused(
            tmp_path, published(server), Patience(tries=1, timeout=5)
        )
    assert left(tmp_path) == BODY[:100]


@pytest.mark.parametrize("length", [None, -1])
def test_the_ceiling_bounds_files_of_unknown_length(tmp_path, monkeypatch, length):
    monkeypatch.setattr(transfer_module, "MOST_BYTES", 10_000)
    with serving(Answer(body=BODY, length=length)) as server:
        told = refused(tmp_path, published(server, n_bytes=0))
    assert "10,000" in told and got(tmp_path) == {}


def test_an_empty_answer_is_no_file(tmp_path):
    with serving(Answer(body=b"")) as server:
        told = refused(tmp_path, published(server, checksum="", n_bytes=0))
    assert "the server sent no bytes" in told
    assert got(tmp_path) == {}


def test_a_web_page_instead_of_the_file_is_refused_and_a_part_stays(tmp_path):
    cut, page = Answer(body=BODY, sent=9_000, etag=TAG), b"<!DOCTYPE html><p>Log in"
    with serving(cut, Answer(body=page, kind="text/html; charset=utf-8")) as server:
        told = refused(tmp_path, published(server))
    assert "answers with a web page instead of the file" in told and "log in first" in told
    assert left(tmp_path) == BODY[:9_000]


def test_a_web_page_under_another_name_is_found_out_by_the_checksum(tmp_path):
    page = b"\n <HTML><p>Moved"
    with serving(Answer(body=page)) as server:
        told = refused(tmp_path, published(server, n_bytes=0))
    assert "delivered another file, and begins like a web page" in told and MD5 in told
    assert got(tmp_path) == {}


def test_the_right_file_called_a_web_page_is_taken(tmp_path):
    with serving(Answer(body=BODY, kind="text/html")) as server:
        download(published(server), tmp_path)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_an_answer_that_does_not_change_is_not_tried_again(tmp_path, status):
    with serving(Answer(status=status)) as server:
        assert f"{server.url()} answers {status} " in refused(tmp_path, published(server))
    assert len(server.asked) == 1
    assert got(tmp_path) == {}


@pytest.mark.parametrize("status", [201, 204, 206])
def test_a_success_that_is_no_file_is_refused(tmp_path, status):
    with serving(Answer(status=status)) as server:
        assert f"answers {status} " in refused(tmp_path, published(server))
    assert got(tmp_path) == {}


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("/file.bin", "redirects in a circle, too often or to nowhere"),
        ("ftp://127.0.0.1/file.bin", "which is no address of the web: not followed"),
        ("file:///etc/hostname", "Redirection to url 'file:///etc/hostname' is not allowed"),
    ],
)
def test_bad_redirects_are_not_followed(tmp_path, place, message):
    with serving(Answer(status=302, headers={"Location": place})) as server:
        assert message in refused(tmp_path, published(server))
    assert len(server.asked) <= 6
    assert got(tmp_path) == {}


def test_a_redirect_that_gives_up_encryption_is_not_followed():
    class Closed:
        closed = False

        def close(self):
            self.closed = True

    answer = Closed()
    asked = urllib.request.Request("https://example.org/a")
    with pytest.raises(DataFileError, match=r"redirects to http://example\.org/a, which is n"):
        _Redirects().redirect_request(asked, answer, 302, "", {}, "http://example.org/a")
    assert answer.closed
    upward = urllib.request.Request("http://example.org/a")
    new = _Redirects().redirect_request(upward, answer, 302, "", {}, "https://example.org/a")
    assert new.full_url == "https://example.org/a"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://a/b", "nonsense", "http://a b/"])
def test_only_addresses_of_the_web_are_asked(tmp_path, url):
    told = refused(tmp_path, DataFile(path="a", url=url))
    assert "is no address" in told
    assert got(tmp_path) == {}


@pytest.mark.parametrize(
    "told", ["bytes 5-39999/40000", "bytes 9000-39999/41000", "nonsense", "bytes 9000-/40000", ""]
)
def test_a_range_other_than_the_asked_one_is_not_written(tmp_path, told):
    cut = Answer(body=BODY, sent=9_000, etag=TAG)
    lie = Answer(body=OTHER, status=206, headers={"Content-Range": told}, etag=TAG)
    with serving(cut, lie, Answer(body=BODY, etag=TAG)) as server:
        download(published(server), tmp_path, patience=QUICK)
    assert server.ranges[-1] == ""
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


# -- this machine ---------------------------------------------------------------------------------


def test_the_environment_decides_nothing_unless_proxies_are_handed_in(tmp_path, monkeypatch):
    with serving(Answer(body=BODY)) as server, serving(Answer(body=BODY)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.address)
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        download(published(server), tmp_path / "a")
        assert (len(server.asked), len(proxy.asked)) == (1, 0)
        download(published(server), tmp_path / "b", proxies={"http": proxy.address})
        assert (len(server.asked), len(proxy.asked)) == (1, 1)
        assert proxy.asked[0][":path"] == server.url()


def test_a_second_download_of_the_same_file_is_refused_and_harms_nothing(tmp_path):
    part = tmp_path / "set/raw/file.bin.part"
    part.parent.mkdir(parents=True)
    with serving(Answer(body=BODY)) as server, part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(BODY[:10])
        other.flush()
        assert "another download of" in refused(tmp_path, published(server))
        assert part.read_bytes() == BODY[:10]
    assert server.asked == []


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "set").write_bytes(b"a file")
    with serving(Answer(body=BODY)) as server:
        told = refused(tmp_path, published(server))
    assert "cannot write" in told and "name another folder with --data-dir" in told


def test_a_full_disk_is_said_before_and_during(tmp_path, monkeypatch):
    with serving(Answer(body=BODY, etag=TAG)) as server:
        with monkeypatch.context() as patched:
            usage = type("Usage", (), {"free": 39_999})
            patched.setattr(transfer_module.shutil, "disk_usage", lambda _: usage)
            told = refused(tmp_path, published(server))
            assert "has 39,999 bytes free, set/raw/file.bin needs 40,000: make room" in told
            assert got(tmp_path) == {}
        limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        code = limit + (
            "from pathlib import Path\n"
            "from secateur.data.dataset import DataFile\n"
            "from secateur.data.fetch import download\n"
            "from secateur.errors import DataFileError\n"
            f"file = DataFile(path='set/raw/file.bin', url={server.url()!r}, checksum={MD5!r})\n"
            f"try:\n    download(file, Path({str(tmp_path)!r}))\n"
            "except DataFileError as error:\n    print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "File too large; make room or name another folder" in done.stdout, done.stderr
        assert left(tmp_path) == BODY[:20_000]
        download(published(server), tmp_path)
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_checksums_are_of_known_kinds(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert checksum_of(path, "md5") == "md5:900150983cd24fb0d6963f7d28e17f72"
    assert checksum_of(path, "sha256").startswith("sha256:ba7816bf8f01cfea414140de5dae2223")
    with pytest.raises(DataFileError, match=r"or sha256:\.\.\., got the kind 'crc'"):
        checksum_of(path, "crc")
    with pytest.raises(DataFileError, match="cannot be read"):
        checksum_of(tmp_path / "b", "md5")
    assert is_published(path, DataFile(path="a", n_bytes=3))
    assert not is_published(path, DataFile(path="a", n_bytes=4))
    assert not is_published(path, DataFile(path="a", checksum=MD5))


# -- progress ---------------------------------------------------------------------------------


def test_progress_is_a_line_every_tenth_with_bytes_and_time_left(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr("secateur.cli.bytes_bar.time.monotonic", lambda: now[0])
    with BytesBar() as bar:
        for done in (500, 600, 1_000, 1_099, 2_000, 10_000):
            bar(done, 10_000, "a")
            now[0] += 1
        bar(0, 0, "b")
        bar(9_999_999, 0, "b")
        bar(10_000_000, 0, "b")
        bar(40, 100, "b")  # begun anew
    assert capsys.readouterr().err.splitlines() == [
        "a: 500 bytes of 10.0 kB",
        "a: 1.0 kB of 10.0 kB, about 36 s left",  # 500 bytes in 2 s
        "a: 2.0 kB of 10.0 kB, about 21 s left",
        "a: 10.0 kB of 10.0 kB",
        "b: 0 bytes",
        "b: 10.0 MB",
        "b: 40 bytes of 100 bytes",
    ]


def test_progress_is_a_bar_with_bytes_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with BytesBar() as bar:
        bar(500, 0, "a")
        bar(600, 1_000, "a")
        bar(1_000, 2_000, "b")
    told = capsys.readouterr().err
    assert "1.0/2.0 kB" in told and "0.6/1.0 kB" in told


# -- over the command line ------------------------------------------------------------------------


@pytest.fixture
def offer(monkeypatch):
    """Register a data set whose files are those given."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("secateur.data.fetch.sleep", lambda _: None)

    def offered(*files: DataFile, **changes) -> None:
        known = {
            "name": "made",
            "about": "numbers",
            "origin": "ask its makers",
            "terms": "free for all",
            "read": lambda _: None,
        }
        made = DataSet(**{**known, **changes}, files=files)
        monkeypatch.setattr("secateur.data.named.DATA_SETS", (made,))
        monkeypatch.setattr("secateur.data.DATA_SETS", (made,))

    return offered


def get(folder: Path, *more: str) -> Done:
    return secateur("data", "get", "made", "--data-dir", folder, "--yes", *more)


def test_get_shows_address_terms_and_size_first_and_says_what_was_done(tmp_path, offer):
    with serving(Answer(body=BODY)) as server:
        offer(published(server), published(server, path="b", checksum="", n_bytes=0))
        done = get(tmp_path)
        assert done.code == 0, done.err
        assert done.out.splitlines() == [
            "made: numbers",
            "terms: free for all",
            f"into:  {tmp_path} (2 files, size unknown)",
            f"from:  {server.url()}",
            f"from:  {server.url()} (no checksum is known)",
            f"{tmp_path}/set/raw/file.bin: downloaded, checksum as published",
            f"{tmp_path}/b: downloaded, not verified: no checksum known",
            f"next: secateur data check made --data-dir {tmp_path}",
        ]
        assert "set/raw/file.bin: 40.0 kB of 40.0 kB" in done.err
        again = get(tmp_path)
    assert again.code == 0 and len(server.asked) == 2
    assert f"{tmp_path}/set/raw/file.bin: was there, checksum as published" in again.out
    assert "from:" not in again.out
    assert got(tmp_path) == {"set/raw/file.bin": BODY, "b": BODY}


def test_get_names_the_proxy_of_the_environment_without_its_password(tmp_path, offer, monkeypatch):
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serving(Answer(body=BODY)) as proxy:
        port = proxy.address.rpartition(":")[2]
        monkeypatch.setenv("http_proxy", f"http://me:secret@127.0.0.1:{port}")
        offer(DataFile(path="a", url="http://example.org/a", checksum=MD5))
        done = get(tmp_path)
    assert done.code == 0, done.err
    assert "from:  http://example.org/a through the proxy 127.0.0.1" in done.out
    assert "secret" not in done.out + done.err
    assert proxy.asked[0][":path"] == "http://example.org/a"


CASES = {
    "wrong bytes": (
        [Answer(body=OTHER)],
        rf"secateur: error: http://\S+ delivered another file: its checksum is {OTHER_MD5} .*{MD5}"
        r".*removed.* By hand: ask its makers",
        0,
    ),
    "too long": ([Answer(body=BODY + b"!")], r"error: .*announces 40,001 bytes, .* 40,000", 0),
    "too short": ([Answer(body=BODY[:-1])], r"error: .*announces 39,999 bytes, .* 40,000", 0),
    "breaks off": (
        [Answer(body=BODY, sent=5_000, etag=TAG), Answer(hang_up=True)],
        r"error: .*in 4 tries: 5,000 of 40,000 bytes came, .* the same command goes on from there$",
        5_000,
    ),
    "gone": ([Answer(status=404)], r"error: .*answers 404 Not Found: .* By hand: ask its mak", 0),
    "broken": ([Answer(status=500)], r"error: .*4 tries: 0 of .* answers 500 Internal Server", 0),
    "circle": (
        [Answer(status=301, headers={"Location": "/file.bin"})],
        r"error: .*redirects in a circle",
        0,
    ),
    "page": ([Answer(body=b"<html>", kind="text/html")], r"error: .*a web page instead", 0),
}


@pytest.mark.parametrize("case", CASES)
def test_get_ends_with_exit_code_2_a_reason_and_no_half_file(tmp_path, offer, case):
    script, message, kept = CASES[case]
    with serving(*script) as server:
        offer(published(server))
        done = get(tmp_path)
        assert done.code == 2
        assert re.search(message, done.err.strip().splitlines()[-1]), done.err
        assert (left(tmp_path) if kept else b"") == BODY[:kept]
        assert bool(got(tmp_path)) == bool(kept)
        server.script = [Answer(body=BODY, etag=TAG)]
        assert get(tmp_path).code == 0
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
    assert server.ranges[-1] == (f"bytes={kept}-" if kept else "")


def test_get_leaves_a_wrong_file_alone_with_exit_code_2(tmp_path, offer):
    (tmp_path / "file.bin").write_bytes(OTHER)
    with serving(Answer(body=BODY)) as server:
        offer(published(server, path="file.bin"))
        done = get(tmp_path)
    assert done.code == 2
    assert "is there already, but it is not the published file" in done.err
    assert got(tmp_path) == {"file.bin": OTHER}


def test_get_of_a_data_set_without_an_address_says_how_to_get_it_by_hand(tmp_path, offer):
    with serving(Answer(body=BODY)) as server:
        offer(published(server), DataFile(path="by/hand.bin"))
        done = get(tmp_path)
        assert done.code == 2
        assert "made has no address to download by/hand.bin from: ask its makers" in done.err
        assert server.asked == [] and got(tmp_path) == {}
        assert "get it by hand:\n  ask its makers" in secateur("data", "list").out
        (tmp_path / "by").mkdir()
        (tmp_path / "by/hand.bin").write_bytes(b"mine")
        assert get(tmp_path).code == 0
    assert got(tmp_path) == {"set/raw/file.bin": BODY, "by/hand.bin": b"mine"}


def test_get_asks_first_and_never_where_nobody_answers(tmp_path, offer, monkeypatch):
    ask = ("data", "get", "made", "--data-dir", tmp_path)
    with serving(Answer(body=BODY)) as server:
        offer(published(server))
        done = secateur(*ask)
        assert done.code == 2 and "the input is no terminal; give --yes" in done.err
        monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
        monkeypatch.setattr("click.confirm", lambda *_, **__: False)
        done = secateur(*ask)
        assert done.code == 0 and done.out.endswith("nothing was downloaded\n")
        assert server.asked == [] and got(tmp_path) == {}
        monkeypatch.setattr("click.confirm", lambda *_, **__: True)
        assert secateur(*ask).code == 0
    assert got(tmp_path) == {"set/raw/file.bin": BODY}


def test_get_needs_a_folder_and_a_known_name_and_nothing_for_what_is_built_in(tmp_path, offer):
    done = secateur("data", "get", "mnits", "--data-dir", tmp_path)
    assert done.code == 2 and "did you mean 'mnist'?" in done.err
    done = secateur("data", "get", "mnist")
    assert done.code == 2 and "give --data-dir or set SECATEUR_DATA" in done.err
    done = secateur("data", "get", "digits")
    assert done.code == 0 and done.out == "digits: inside scikit-learn; nothing to get\n"
    (tmp_path / "other.npz").write_bytes(b"")
    with serving(Answer(body=BODY)) as server:
        offer(published(server), others=("other.npz",))
        done = get(tmp_path)
    assert done.code == 0 and f"{tmp_path}/other.npz is there already" in done.out
    assert server.asked == []
    offer(needs_folder=True)
    done = get(tmp_path)
    assert done.code == 2 and "made has no address to download from: ask its makers" in done.err


def test_ctrl_c_keeps_the_part_says_so_and_the_same_command_goes_on(tmp_path, offer):
    cut = Answer(body=BODY[:30_000], length=40_000, pause=0.0001, etag=TAG)
    with serving(cut) as server:
        file = published(server)
        code = (
            "from secateur.data import DataFile, DataSet, named\n"
            "from secateur.cli import main\n"
            f"files = ({file!r},)\n"
            "made = DataSet(name='made', about='', origin='', read=None, files=files)\n"
            "named.DATA_SETS = (made,)\n"
            f"main(['data', 'get', 'made', '--yes', '--data-dir', {str(tmp_path)!r}])\n"
        )
        clean = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=clean
        )
        assert process.stderr is not None
        told = process.stderr.readline() + process.stderr.readline()  # the first tenth has come
        process.send_signal(signal.SIGINT)
        told += process.communicate(timeout=30)[1]
        assert process.returncode == 130, told
        part = tmp_path / "set/raw/file.bin.part"
        stop = f"secateur: stopped while downloading set/raw/file.bin; {part} keeps what came"
        assert stop in told
        assert f"resume with: secateur data get made --yes --data-dir {tmp_path}" in told
        kept = left(tmp_path)
        assert 0 < len(kept) < 30_000 and kept == BODY[: len(kept)]
        server.script = [Answer(body=BODY, etag=TAG)]
        offer(file)
        assert get(tmp_path).code == 0
    assert server.ranges == ["", f"bytes={len(kept)}-"]
    assert got(tmp_path) == {"set/raw/file.bin": BODY}
