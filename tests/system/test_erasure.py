"""What a person deletes is nowhere: not in the database's files, blobs, indexes, parts of uploads or logs.

A canary word is put into every text that the API takes from a person (generated from the document, and by hand where an
operation needs something real), and a canary picture. After the deletion both are looked for in every file below the
server's folder and, with PostgreSQL, in a dump and in the files of its database.
"""
import hashlib
import io
import json
import os
import re
import secrets
import struct
import subprocess
import threading
import zipfile
import zlib
from pathlib import Path

import pytest
import requests

from harness import PASSWORD, Client, wait_until
from test_second_identity import example

WITHIN_S = 60
# operations of the document that end what the test still needs, or wait
NOT_ASKED = re.compile(r"/me/(password|delete)|/session|/sign-up|/setup|/second|/me/logins|/temporary|/v1/chat|/chat/completions|/events|/ws|"
                       r"/engine|/users|/server|/queue/pause|/generate$|sdapi")


class Canary:
    def __init__(self):
        self.tail = secrets.token_hex(8)
        self.word = "canary" + self.tail  # an index may keep only the end of a word: that is what is looked for
        self.png = self.picture()
        self.pieces = [self.tail.encode(), self.png[-200:-100], hashlib.sha256(self.png).hexdigest().encode()]

    def picture(self, side=64):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        rows = b"".join(b"\0" + secrets.token_bytes(3 * side) for _ in range(side))
        return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
                + chunk(b"tEXt", b"parameters\0" + self.word.encode() + b" in a boat\nSteps: 20")
                + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))

    def found(self, content):
        low = content.lower()
        return [piece for piece in self.pieces if piece in content or piece in low]


def dump(server):
    return subprocess.run(["pg_dump", server.database], check=True, capture_output=True).stdout


def postgres_files(server):
    """The folder of the server's database; None where the test may not read it."""
    ask = "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()"
    path = subprocess.run(["psql", "-X", "-A", "-t", server.database, "-c", ask], check=True, capture_output=True, text=True)
    path = Path(path.stdout.strip())
    return path if os.access(path, os.R_OK) else None


def places(server, canary):
    """Where the canary still is."""
    found = []
    folders = [server.folder]
    if server.database:
        if canary.found(dump(server)):
            found.append("pg_dump")
        if postgres_files(server):
            folders.append(postgres_files(server))
    for folder in folders:
        for path in folder.rglob("*"):
            try:
                if path.is_file() and (canary.found(path.read_bytes()) or canary.tail in path.name):
                    found.append(str(path))
            except FileNotFoundError:
                continue  # it went meanwhile
    return found


def tables_with(server, canary):
    if server.database:
        names, table = set(), None
        for line in dump(server).decode(errors="replace").splitlines():
            copy = re.match(r"COPY public\.(\w+) ", line)
            table = copy.group(1) if copy else None if line == "\\." else table
            if table and canary.tail in line:
                names.add(table)
        return names
    import sqlite3
    with sqlite3.connect(f"file:{server.data}/atelier.db?mode=ro", uri=True) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%_fts%'")]
        return {name for name in names if any(canary.tail in str(row) for row in db.execute(f'SELECT * FROM "{name}"'))}


def words_everywhere(document, schema, word):
    """An example of the schema with the word in every text that takes it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    value = example(document, schema)
    for name, field in schema.get("properties", {}).items():
        kinds = field.get("type", "object")
        if "string" in (kinds if isinstance(kinds, list) else [kinds]) and "enum" not in field and "format" not in field:
            if field.get("maxLength", 1000) >= len(word):
                value[name] = word
    return value


def ask_all(client, word):
    """Every operation that takes JSON and names no id: what is refused is refused, what is kept has the word."""
    document = Client(client.server).get("/api/openapi.json")
    taken = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method not in ("post", "put", "patch") or "{" in path or NOT_ASKED.search(path):
                continue
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                body = words_everywhere(document, content["application/json"]["schema"], word)
                headers = {"User-Agent": word, "Idempotency-Key": secrets.token_hex(8)}
                answer = client.request(method.upper(), path, body, headers=headers)
                assert answer.status_code < 500, f"{method} {path}: {answer.status_code} {answer.text[:200]}"
                taken += answer.status_code < 300
    return taken


def fill(owner, person, canary, model, image_model):
    word = canary.word
    kind = {"Content-Type": "image/png"}
    assert ask_all(person, word) >= 8
    character = person.post("/api/v1/characters", {"card": {"name": word[:30], "first_mes": f"Hello, {word}.", "description": word,
                                                            "extensions": {"x": word}, "tags": [word]}}, status=201)
    person.ok("PUT", f"/api/v1/characters/{character['id']}/avatar", data=io.BytesIO(canary.png), headers=kind)
    persona = person.post("/api/v1/personas", {"name": word[:30], "description": word}, status=201)
    folder = person.post("/api/v1/folders", {"name": word}, status=201)
    talk = person.conversation(character_id=character["id"], persona_id=persona["id"], title=word, model=model)
    person.patch(f"/api/v1/conversations/{talk['id']}", {"folder_id": folder["id"]})
    said = person.say(talk, f"I have said {word} here " * 50)
    reply = said["reply"]
    wait_until(lambda: person.message(reply)["status"] != "streaming", what="the reply")
    person.post(f"/api/v1/messages/{said['message']['id']}/edit", {"content": f"and changed it: {word}", "in_place": True})
    asset = person.ok("POST", "/api/v1/assets", data=io.BytesIO(canary.png), headers=kind, status=201)
    person.patch(f"/api/v1/assets/{asset['id']}", {"title": word})
    person.request("GET", f"/api/v1/assets/{asset['id']}/file?width=64")
    board = person.post("/api/v1/boards", {"name": word}, status=201)
    person.post(f"/api/v1/assets/{asset['id']}/shares", {}, status=201)
    part = person.post("/api/v1/uploads", {"size_bytes": len(canary.png)}, status=201)
    person.ok("PATCH", f"/api/v1/uploads/{part['id']}", data=io.BytesIO(canary.png[:-1]),
              headers={"Content-Type": "application/octet-stream", "Upload-Offset": "0"})
    person.post("/api/v1/styles", {"name": word, "prompt": word}, status=201)
    person.post("/api/v1/wildcards", {"name": "w" + word, "entries": word})
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": word}},
             "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": word}}}
    person.post("/api/v1/workflows", {"name": word, "graph": graph}, status=201)
    person.post("/api/v1/webhooks", {"url": f"https://8.8.8.8/{word}"}, status=201)
    person.post("/api/v1/jobs", {"prompt": f"a boat named {word}", "negative_prompt": word, "model": image_model,
                                 "board_id": board["id"]}, status=202, headers={"Idempotency-Key": secrets.token_hex(8)})
    person.post("/api/v1/grids", {"request": {"prompt": word, "model": image_model}, "x": {"parameter": "steps", "text": "2,3"}},
                status=202)
    person.request("PUT", "/api/v1/me/preferences", {"note": word})
    person.post("/api/v1/keys", {"name": word, "scopes": ["chat"]}, status=201)
    person.request("GET", f"/api/v1/search?q={word}")
    person.request("GET", f"/api/v1/assets?q={word}", headers={"User-Agent": word})
    person.request("POST", f"/api/v1/{word}", {word: word})  # what is wrong may be logged
    person.request("POST", "/api/v1/characters", data=b"{" + word.encode(), headers={"Content-Type": "application/json"})
    again = Client(person.server)
    again.request("POST", "/api/v1/session", {"name": word, "password": word})
    person.patch("/api/v1/me", {"name": word})
    again.ok("POST", "/api/v1/session", {"name": word, "password": PASSWORD}, headers={"User-Agent": word}, status=201)


WANTED = {"users", "sessions", "api_keys", "characters", "personas", "folders", "conversations", "messages", "assets", "boards",
          "styles", "wildcards", "workflows", "webhooks", "jobs", "grids", "prompt_history"}


@pytest.mark.parametrize("by", ["oneself", "admin"])
@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_an_account(make_server, upstream, db, by):
    server = make_server(db=db, args=["--outbound-private", "127.0.0.1", "--log-level", "debug"]).start()
    owner = server.setup()
    model = upstream.connect(owner)
    image_model = owner.post("/api/v1/providers", {"preset": "fake", "base_url": "https://8.8.8.8/v1"}, status=201)["id"] + "/noop"
    server.add_user("Tom", "member")
    person, canary = server.sign_in("Tom"), Canary()
    kept = owner.conversation(title="kept words")
    owner.say(kept, "the harbour stays", reply=False)
    fill(owner, person, canary, model, image_model)
    assert WANTED <= tables_with(server, canary), WANTED - tables_with(server, canary)
    assert places(server, canary)
    if by == "oneself":
        assert person.request("POST", "/api/v1/me/delete", {"password": "not mine"}).status_code == 401
        person.post("/api/v1/me/delete", {"password": PASSWORD}, status=204)
    else:
        owner.delete(f"/api/v1/users/{person.user['id']}", status=204)
    assert person.request("GET", "/api/v1/me").status_code == 401
    assert Client(server).request("POST", "/api/v1/session", {"name": canary.word, "password": PASSWORD}).status_code == 401
    left = []

    def nowhere():
        left[:] = places(server, canary)
        return not left
    try:
        wait_until(nowhere, WITHIN_S, "the canary to be gone")
    except AssertionError:
        raise AssertionError(f"still there: {left} in {tables_with(server, canary)}") from None
    assert owner.get("/api/v1/audit/verify")["intact"]
    assert any(row["action"] == "user.delete" and row["target_id"] == person.user["id"] for row in owner.get("/api/v1/audit")["items"])
    assert [hit["conversation_id"] for hit in owner.get("/api/v1/search?q=harbour")["items"]] == [kept["id"]]
    owner.say(kept, "and goes on", reply=False)
    server.stop()
    assert not places(server, canary), "nor after the stop"


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_single_things_after_their_undo_time(make_server, db):
    server = make_server(db=db, args=["--undo-minutes", "0"]).start()
    owner, canary, kind = server.setup(), Canary(), {"Content-Type": "image/png"}
    kept = owner.conversation(title="kept words")
    owner.say(kept, "the harbour stays", reply=False)
    for number in range(30):  # rows around it, so that pages are shared, split and filled
        owner.say(kept, f"word{number} " * 40, reply=False)
        if number % 10 == 0:
            talk = owner.conversation(title=canary.word)
            owner.say(talk, f"a {canary.word} in the coal mine " * (number * 40 + 1), reply=False)
            message = owner.say(kept, f"one {canary.word}", reply=False)["message"]
            owner.delete(f"/api/v1/conversations/{talk['id']}")
            owner.delete(f"/api/v1/messages/{message['id']}")
    asset = owner.ok("POST", "/api/v1/assets", data=io.BytesIO(canary.png), headers=kind, status=201)
    owner.request("GET", f"/api/v1/assets/{asset['id']}/file?width=64")
    owner.delete(f"/api/v1/assets/{asset['id']}")
    assert places(server, canary)
    owner.delete(f"/api/v1/assets/{asset['id']}?forever=true")
    left = []

    def nowhere():
        left[:] = places(server, canary)
        return not left
    try:
        wait_until(nowhere, WITHIN_S, "the canary to be gone")
    except AssertionError:
        raise AssertionError(f"still there: {left} in {tables_with(server, canary)}") from None
    assert [hit["conversation_id"] for hit in owner.get("/api/v1/search?q=harbour")["items"]] == [kept["id"]]


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_everything_as_one_file(make_server, db):
    server = make_server(db=db).start()
    owner = server.setup()
    server.add_user("Tom", "member")
    person, canary = server.sign_in("Tom"), Canary()
    talk = person.conversation(title="Harbour")
    person.say(talk, f"words with {canary.word}", reply=False)
    person.ok("POST", "/api/v1/assets", data=io.BytesIO(canary.png), headers={"Content-Type": "image/png"}, status=201)
    key = person.post("/api/v1/keys", {"name": "k", "scopes": ["chat"]}, status=201)["key"]
    person.post("/api/v1/me/exports", status=202)
    made = wait_until(lambda: [one for one in person.get("/api/v1/me/exports")["items"] if one["state"] == "done"], what="the export")[0]
    assert made["done"] == made["total"] > 30 and not made["by_other"]
    answer = person.request("GET", f"/api/v1/me/exports/{made['id']}/file")
    assert answer.status_code == 200 and len(answer.content) == made["size_bytes"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        names = file.namelist()
        data = {name[5:-5]: json.loads(file.read(name)) for name in names if name.startswith("data/")}
        chats = [json.loads(file.read(name)) for name in names if name.startswith("conversations/")]
        pictures = [file.read(name) for name in names if name.startswith("pictures/")]
    assert [one["content"] for one in data["messages"]] == [f"words with {canary.word}"]
    assert data["users"][0]["name"] == "Tom" and len(data["assets"]) == len(pictures) >= 1 and data["sessions"]
    assert len(chats) == 1 and canary.word in json.dumps(chats)
    assert key.encode() not in answer.content and PASSWORD.encode() not in answer.content and b"argon2" not in answer.content
    assert owner.request("GET", f"/api/v1/me/exports/{made['id']}/file").status_code == 404
    assert Client(server).request("GET", f"/api/v1/me/exports/{made['id']}/file").status_code == 401
    by_owner = f"/api/v1/users/{person.user['id']}/exports"
    owner.post(by_owner, status=202)
    again = wait_until(lambda: [one for one in owner.get(by_owner)["items"] if one["state"] == "done"], what="the export")[0]
    assert person.get("/api/v1/me/exports")["items"][0]["by_other"]
    assert owner.request("GET", f"{by_owner}/{again['id']}/file").status_code == 200
    assert {"user.export", "user.export.download"} <= {row["action"] for row in owner.get("/api/v1/audit")["items"]}
    assert person.request("POST", f"/api/v1/users/{owner.user['id']}/exports", {}).status_code == 403
    person.post("/api/v1/me/delete", {"password": PASSWORD}, status=204)
    wait_until(lambda: not places(server, canary), WITHIN_S, "the canary to be gone from exports, too")


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_killed_while_the_master_key_is_changed(make_server, db):
    """Whenever the program dies, the next start opens what is sealed: the kept passphrase makes a backup."""
    server = make_server(db=db).start()
    owner = server.setup()
    owner.patch("/api/v1/server", {"backup_passphrase": "a long way home 17"})
    for number in range(30):
        owner.post("/api/v1/providers", {"preset": "custom", "name": f"P{number}", "base_url": "https://8.8.8.8/v1",
                                         "key": f"sk-{secrets.token_hex(20)}"}, status=201)
    changed = set()
    for turn in range(6):
        def ask(client=owner.again()):
            try:
                client.request("POST", "/api/v1/server/key/rotate", {}, timeout=120)
            except requests.exceptions.RequestException:
                pass
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(turn * 0.006 if turn < 5 else None)  # the last one is killed when it has its answer: that one did change it
        server.kill()
        asking.join()
        server.start()
        owner = server.sign_in()
        lines = (server.data / "master.key").read_text().split()
        changed.add(lines[0])
        assert len(lines) in (1, 2)
        owner.post("/api/v1/server/backups", {}, status=201)
        for made in owner.get("/api/v1/server/backups")["items"]:
            (server.data / "backups" / made["name"]).unlink()
    assert len(changed) > 1, "no turn changed the key"
    assert owner.get("/api/v1/server/key")["unreadable"] == 0
