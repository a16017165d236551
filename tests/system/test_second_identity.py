"""What belongs to one user does not exist for another: every operation of the document that names an id gives 404.

The operations come from /api/openapi.json, so a new one is covered, or fails here until `make_ids` knows how to make
the thing it names.
"""
import io
import re
import struct
import zlib

import pytest

from harness import Client, wait_until

# Operations on what belongs to the server, not to a user: a user may not (403), or it holds no secrets; and addresses
# that are secrets themselves.
SHARED = ("/api/v1/providers", "/api/v1/picture-entries", "/api/v1/engine", "/problems/", "/v1/models", "/s/", "/f/",
          "/api/v1/login", "/api/v1/me/exports",  # tried in test_erasure.py
          "/api/v1/me/logins",  # the latter needs a sign-in service: test_oidc.py
          "/api/v1/me/passkeys",  # and this an authenticator: tests/handler/test_authorization.c
          "/api/v1/quotas", "/api/v1/quota-requests", "/api/v1/users", "/api/v1/roles", "/api/v1/groups",
          "/api/v1/invitations", "/api/v1/server", "/api/v1/queue/all", "/api/v1/moderation",
          "/api/v1/settings",
          "/api/v1/blocked-pictures", "/api/v1/reports")  # moderators'; an appeal by somebody else: tests/handler/test_reports.c


def png(width=8, height=8):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x40\x80\xc0" * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


LAST_UPLOAD = {}


def upload_id(owner):
    """A new upload, or the last one when too many are unfinished: nothing lists them."""
    made = owner.request("POST", "/api/v1/uploads", {"size_bytes": 9})
    if made.status_code == 201:
        LAST_UPLOAD["id"] = made.json()["id"]
    else:
        assert made.status_code == 409, made.text
    return LAST_UPLOAD["id"]


def notice_id(owner):
    """A character of the owner's is reported, so that something is said to the owner."""
    extra = owner.post("/api/v1/characters", {"card": {"name": "Held"}}, status=201)
    owner.post("/api/v1/reports", {"target_kind": "character", "target": extra["id"], "kind": "minors"}, status=201)
    return owner.get("/api/v1/notices")["items"][0]["id"]


def make_ids(owner):
    """Path prefix -> an id of the owner's that exists."""
    character = owner.post("/api/v1/characters", {"card": {"name": "Ada", "first_mes": "Hello."}}, status=201)
    character = owner.ok("PUT", f"/api/v1/characters/{character['id']}/avatar", data=io.BytesIO(png()),
                         headers={"Content-Type": "image/png"})
    conversation = owner.conversation(character_id=character["id"])
    message = owner.say(conversation, "secret words", reply=False)["message"]
    asset = owner.ok("POST", "/api/v1/assets", data=io.BytesIO(png()), headers={"Content-Type": "image/png"}, status=201)
    return {
        "/api/v1/characters": character["id"],
        "/api/v1/assets": asset["id"],
        "/api/v1/boards": owner.post("/api/v1/boards", {"name": "Wall"}, status=201)["id"],
        "/api/v1/uploads": upload_id(owner),
        "/api/v1/shares": owner.post(f"/api/v1/assets/{asset['id']}/shares", {}, status=201)["key"],
        "/api/v1/conversations": conversation["id"],
        "/api/v1/messages": message["id"],
        "/api/v1/personas": owner.post("/api/v1/personas", {"name": "Me", "description": "x"}, status=201)["id"],
        "/api/v1/folders": owner.post("/api/v1/folders", {"name": "Box"}, status=201)["id"],
        "/api/v1/keys": owner.post("/api/v1/keys", {"name": "k", "scopes": ["chat"]}, status=201)["id"],
        "/api/v1/sessions": owner.get("/api/v1/sessions")["items"][0]["id"],
        "/api/v1/notices": notice_id(owner),
    }


def make_more_ids(owner):
    """What comes from making pictures, with the scripted service."""
    provider = owner.post("/api/v1/providers", {"preset": "fake", "base_url": "https://8.8.8.8/v1"}, status=201)["id"]
    webhook = owner.post("/api/v1/webhooks", {"url": "https://8.8.8.8/hook"}, status=201)["id"]
    job = owner.post("/api/v1/jobs", {"prompt": "secret boat", "model": f"{provider}/noop"}, status=202)["id"]
    grid = owner.post("/api/v1/grids", {"request": {"prompt": "secret boat", "model": f"{provider}/noop"},
                                        "x": {"parameter": "steps", "text": "2,3"}}, status=202)["id"]
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
             "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}
    wait_until(lambda: owner.get("/api/v1/webhooks/deliveries")["items"], what="the delivery of its end")
    return {
        "/hooks/fal": "a-token-of-nobody", "/api/v1/grids": grid, "/api/v1/jobs": job, "/generate": job, "/v1/videos": job, "/api/v1/webhooks": webhook,
        "/api/v1/webhooks/deliveries": owner.get("/api/v1/webhooks/deliveries")["items"][0]["id"],
        "/api/v1/styles": owner.post("/api/v1/styles", {"name": "Mine", "prompt": "ink"}, status=201)["id"],
        "/api/v1/wildcards": owner.post("/api/v1/wildcards", {"name": "w", "entries": "a"})["id"],
        "/api/v1/workflows": owner.post("/api/v1/workflows", {"name": "W", "graph": graph}, status=201)["id"],
    }


def body_for(document, operation):
    """A body that the operation accepts, from its schema: what is required, with plausible values."""
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" not in content:
        return None if not content else b"\0"
    return example(document, content["application/json"]["schema"])


def example(document, schema):
    if "$ref" in schema:
        return example(document, document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: example(document, schema["properties"][name]) for name in schema.get("required", [])}
    return {"string": "x" * max(1, schema.get("minLength", 1)), "integer": schema.get("minimum", 1),
            "number": schema.get("minimum", 1), "boolean": True, "array": []}[kind]


@pytest.fixture
def real_ids(owner):
    return make_ids(owner)


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_every_operation_with_an_id(make_server, db):
    server = make_server(db=db).start()
    owner = server.setup()
    ids = make_ids(owner) | make_more_ids(owner)
    server.add_user("Sam", "owner")  # also another owner: owners manage the server, not others' conversations
    server.add_user("Tom", "member")
    before = snapshot(owner, ids)
    document = Client(server).get("/api/openapi.json")
    asked = 0
    for name in ("Sam", "Tom"):
        second = server.sign_in(name)
        for path, operations in document["paths"].items():
            if "{" not in path or path.startswith(SHARED):
                continue
            prefix = path[: path.index("/{")]
            assert prefix in ids, f"{path}: this test does not know how to make one"
            target = re.sub(r"\{[^}]*\}", ids[prefix], path)
            for method, operation in operations.items():
                if not isinstance(operation, dict) or method not in ("get", "post", "put", "patch", "delete"):
                    continue
                body = body_for(document, operation)
                raw = {"data": body, "headers": {"Content-Type": "image/png"}} if isinstance(body, bytes) else {}
                answer = second.request(method.upper(), target, None if raw else body, **raw)
                assert answer.status_code == 404, f"{name}: {method} {target}: {answer.status_code} {answer.text[:300]}"
                assert "secret" not in answer.text
                asked += 1
    assert asked > 60
    assert snapshot(owner, ids) == before, "nothing was changed"


def snapshot(owner, ids):
    return [owner.get(f"{prefix}/{ids[prefix]}") for prefix in
            ("/api/v1/characters", "/api/v1/conversations", "/api/v1/messages", "/api/v1/personas")] + [
        [k["id"] for k in owner.get("/api/v1/keys")["items"]], [f["id"] for f in owner.get("/api/v1/folders")["items"]]]


def test_ids_inside_bodies_and_queries(server, owner, real_ids):
    """An id of somebody else's in a body is as unknown as one that never was."""
    server.add_user("Tom")
    tom = server.sign_in("Tom")
    own = tom.conversation()
    for body in ({"character_id": real_ids["/api/v1/characters"]}, {"persona_id": real_ids["/api/v1/personas"]},
                 {"folder_id": real_ids["/api/v1/folders"]}):
        answer = tom.request("POST", "/api/v1/conversations", body)
        assert answer.status_code in (400, 404, 422), (body, answer.text)
        if "character_id" not in body:
            answer = tom.request("PATCH", f"/api/v1/conversations/{own['id']}", body)
            assert answer.status_code in (400, 404, 422), (body, answer.text)
    answer = tom.request("POST", f"/api/v1/conversations/{own['id']}/messages",
                         {"content": "x", "parent_id": real_ids["/api/v1/messages"], "reply": False})
    assert answer.status_code in (400, 404, 422)
    for query in (f"character_id={real_ids['/api/v1/characters']}", f"folder_id={real_ids['/api/v1/folders']}"):
        answer = tom.request("GET", f"/api/v1/conversations?{query}")
        assert answer.status_code in (400, 404) or answer.json()["items"] == []
    answer = tom.request("GET", f"/api/v1/conversations/{own['id']}/messages?before={real_ids['/api/v1/messages']}")
    assert answer.status_code in (400, 404) or answer.json()["items"] == []
    answer = tom.request("POST", f"/api/v1/assets?library=false&parent={real_ids['/api/v1/assets']}", data=io.BytesIO(png()),
                         headers={"Content-Type": "image/png"})
    assert answer.status_code == 404, answer.text
    assert tom.get("/api/v1/search?q=secret")["items"] == []
    assert tom.get("/api/v1/conversations")["items"][0]["id"] == own["id"]
    assert [c for c in tom.get("/api/v1/characters")["items"] if not c["starter"]] == []


def test_live_events_stay_apart(server, owner, real_ids):
    from harness import Events
    server.add_user("Tom")
    tom = server.sign_in("Tom")
    hears, owners = Events(tom), Events(owner)
    said = owner.say({"id": real_ids["/api/v1/conversations"]}, "more secret words", reply=False)["message"]
    owners.wait(lambda e: e["event"] == "message.created" and e["data"]["message"]["id"] == said["id"])
    mark = tom.say(tom.conversation(), "mine", reply=False)["message"]
    hears.wait(lambda e: e["event"] == "message.created" and e["data"]["message"]["id"] == mark["id"])
    assert "secret" not in repr(hears.seen)
    hears.close()
    owners.close()


def test_users_may_not_manage_the_server(server, owner):
    server.add_user("Tom")
    tom = server.sign_in("Tom")
    for method, path, body in [("GET", "/api/v1/providers", None), ("POST", "/api/v1/providers", {"preset": "custom"}),
                               ("PATCH", "/api/v1/settings", {"mature_allowed": True}),
                               ("PATCH", "/api/v1/engine", {"slots": 1}), ("POST", "/api/v1/engine/stop", {}),
                               ("GET", "/api/v1/server", None), ("PATCH", "/api/v1/server", {"maintenance": True}),
                               ("GET", "/api/v1/server/log", None), ("GET", "/api/v1/server/backups", None),
                               ("POST", "/api/v1/server/backups", {"passphrase": "long enough"}),
                               ("GET", "/api/v1/server/backups/x", None), ("GET", "/api/v1/audit", None),
                               ("GET", "/api/v1/audit/verify", None), ("GET", "/api/v1/audit/export", None),
                               ("GET", "/metrics", None)]:
        assert tom.request(method, path, body).status_code == 403, path


def test_key_scopes_narrow(server, owner):
    chat, characters = owner.new_key("chat"), owner.new_key("characters")
    assert chat.request("GET", "/api/v1/conversations").status_code == 200
    assert chat.request("PATCH", "/api/v1/settings", {"mature_allowed": True}).status_code == 403
    assert chat.request("POST", "/api/v1/keys", {"name": "x", "scopes": ["admin"]}).status_code == 403
    assert characters.request("GET", "/api/v1/characters").status_code == 200
    assert characters.request("POST", "/api/v1/conversations", {}).status_code == 403
