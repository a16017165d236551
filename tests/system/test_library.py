"""The library over the real server: files in and out, many at once, links for guests, and kills between bytes and rows."""
import io
import random
import sqlite3
import struct
import threading
import zipfile
import zlib

import requests

import harness


def png(seed, side=48):
    """A picture of noise that no other seed makes."""
    dice = random.Random(seed)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + dice.randbytes(side * 3) for _ in range(side))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def upload(client, data, **more):
    return client.ok("POST", "/api/v1/assets", data=io.BytesIO(data), headers={"Content-Type": "image/png"}, status=201, **more)


def test_many_files_as_one_zip(make_server):
    server = make_server().start()
    owner = server.setup()
    made = [upload(owner, png(n)) for n in range(25)]
    answer = owner.request("GET", "/api/v1/assets/zip?ids=" + ",".join(one["id"] for one in made))
    assert answer.status_code == 200 and int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == 25
        whole = owner.request("GET", f"/api/v1/assets/{made[3]['id']}/file").content
        assert whole in [archive.read(name) for name in archive.namelist()]
    part = owner.request("GET", f"/api/v1/assets/{made[3]['id']}/file", headers={"Range": "bytes=8-15"})
    assert part.status_code == 206 and part.content == whole[8:16]
    # a reader that leaves in the middle costs nothing: the server goes on
    with owner.request("GET", "/api/v1/assets/zip?ids=" + ",".join(one["id"] for one in made), stream=True) as gone:
        gone.raw.read(100)
    owner.get("/api/v1/assets")
    server.stop()


def test_a_link_for_guests(make_server):
    server = make_server().start()
    owner = server.setup()
    asset = upload(owner, png(1))
    link = owner.post(f"/api/v1/assets/{asset['id']}/shares", {"uses_max": 1}, status=201)
    page = requests.get(f"{server.base}/s/{link['key']}", timeout=120)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    source = page.text.split('src="')[1].split('"')[0]
    picture = requests.get(server.base + source, timeout=120)
    assert picture.status_code == 200 and picture.headers["Content-Type"] == "image/webp"
    assert requests.get(f"{server.base}/s/{link['key']}", timeout=120).status_code == 410
    server.stop()


def on_disk(server):
    return {path.name.split(".")[0] for path in (server.data / "blobs").glob("*/*")}


def in_rows(server):
    database = sqlite3.connect(server.data / "atelier.db")
    counted = dict(database.execute("SELECT sha256, refs FROM blobs"))
    used = dict(database.execute("SELECT sha256, count(*) FROM assets GROUP BY sha256"))
    database.close()
    return counted, used


def test_kills_leave_no_orphan(make_server):
    """Uploads and deletions of few pictures, again and again the same, while the server is killed."""
    server = make_server().start()
    owner = server.setup().new_key("pictures")
    said = []
    for round_ in range(8):
        stop = threading.Event()

        def work(number):
            dice = random.Random(round_ * 10 + number)
            client = harness.Client(server, owner.key)
            while not stop.is_set():
                try:
                    asset = upload(client, png(dice.randrange(6)))
                    if dice.random() < 0.5:
                        client.delete(f"/api/v1/assets/{asset['id']}?forever=true")
                    else:
                        said.append(asset["id"])
                except requests.RequestException:
                    return

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        stop.wait(0.4 + 0.1 * round_)
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
        counted, used = in_rows(server)
        assert counted == used, round_
        assert on_disk(server) == set(used), round_
    client = harness.Client(server, owner.key)
    for name in random.Random(1).sample(said, min(20, len(said))):  # what was acknowledged is there, with its file
        assert client.request("GET", f"/api/v1/assets/{name}/file").status_code == 200
        assert client.request("GET", f"/api/v1/assets/{name}/file?width=64").status_code == 200
    assert said
    server.stop()
