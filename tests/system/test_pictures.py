"""Avatars: decoded in a child process; whatever is sent, the server answers in words and stays up."""
import re
import struct
import threading
import zlib
from random import Random

import pytest

from harness import wait_until
from test_second_identity import png


def put(client, character, data, kind="image/png"):
    return client.request("PUT", f"/api/v1/characters/{character['id']}/avatar", data=data,
                          headers={"Content-Type": kind})


@pytest.fixture
def character(owner):
    return owner.post("/api/v1/characters", {"card": {"name": "Ada"}}, status=201)


def bomb():
    """A few kilobytes that would be 60,000 x 60,000 pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 4_000_000)) + chunk(b"IEND", b""))


def test_many_at_once(server, owner, character):
    """The child often ends before it is told to: that must not touch what is gone already."""
    answers = []

    def upload():
        client = owner.again()
        for _ in range(5):
            answers.append(put(client, character, png(32, 32)).status_code)

    threads = [threading.Thread(target=upload) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20
    avatar = owner.get(f"/api/v1/characters/{character['id']}")["avatar"]
    assert avatar["width"] == 32
    picture = owner.request("GET", avatar["url"] + "?width=64")
    assert picture.status_code == 200 and picture.content[:4] == b"RIFF"
    assert len(server.children()) <= 2
    wait_until(lambda: not server.children(), what="the decoders to leave")


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", png()[:40], png()[:-20],
                                  b"\x89PNG\r\n\x1a\n" + b"\xff" * 500, b"GIF89a" + b"\0" * 50, b"\xff\xd8\xff\xe0" * 20,
                                  b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0", bomb()], ids=range(10))
def test_what_is_no_picture_is_refused_in_words(owner, character, data):
    answer = put(owner, character, data)
    assert answer.status_code in (400, 422), answer.text
    assert len(answer.json()["detail"]) > 10
    assert owner.get(f"/api/v1/characters/{character['id']}")["avatar"] is None
    assert put(owner, character, png()).status_code == 200


def mutate(data, random):
    """One to three changes behind the signature; check sums stay wrong, as they would on the way."""
    data = bytearray(data)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(8, len(data))
        kind = random.randrange(4)
        if kind == 0:
            data[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[at:at + random.randint(1, 20)] = random.randbytes(random.randint(0, 20))
        elif kind == 2:
            data[at:at] = data[8:8 + random.randint(1, 60)]
        else:
            del data[max(at, 20):]
        if len(data) < 30:
            break
    return bytes(data)


def test_mutated_uploads_leave_the_server_alone(server, owner, character):
    random = Random(4)
    good = png(48, 32)
    before = server.process.pid
    seen = set()
    for _ in range(150):
        answer = put(owner, character, mutate(good, random))
        assert answer.status_code in (200, 400, 422), answer.text
        seen.add(answer.status_code)
        if answer.status_code != 200:
            assert len(answer.json()["detail"]) > 10
    assert 422 in seen
    assert put(owner, character, good).status_code == 200
    assert server.process.pid == before and server.process.poll() is None
    wait_until(lambda: not server.children(), what="the decoder to leave")
