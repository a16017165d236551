"""The main flows on PostgreSQL: the same calls on both databases must give the same answers."""
import re

import pytest

from harness import Client, Events, wait_until

VARIES = re.compile(r'\b[a-z]{3}_[0-9A-HJKMNP-TV-Z]{26}\b|\d{4}-\d\d-\d\dT[\d:.]+Z|"req_[^"]*"')


def shape(value):
    """Ids and times out of the way: ids by order of appearance, so that relations stay."""
    import json
    names = {}
    return VARIES.sub(lambda m: names.setdefault(m.group(0), f"#{len(names)}") if "_" in m.group(0) else "#time",
                      json.dumps(value, sort_keys=True, ensure_ascii=False))


def flow(server, upstream):
    """Everything a first evening does; what was answered, step by step."""
    log = []

    def note(name, value):
        log.append((name, shape(value)))
        return value

    owner = server.setup()
    model = upstream.connect(owner)
    character = note("character", owner.post("/api/v1/characters", {"card": {
        "name": "Ada Łovelace 🦊", "first_mes": "Hello {{user}}.", "alternate_greetings": ["Hi.", "Good day."],
        "tags": ["one", "two"], "extensions": {"x": {"y": [1, 2.5, None, "é"]}}, "unknown_key": 7}}, status=201))
    note("patched", owner.patch(f"/api/v1/characters/{character['id']}", {"card": {"unknown_key": None, "scenario": "s"}},
                                headers={"If-Match": f'"{character["version"]}"'}))
    stale = owner.request("PATCH", f"/api/v1/characters/{character['id']}", {"card": {"scenario": "t"}},
                          headers={"If-Match": f'"{character["version"]}"'})
    note("stale", stale.status_code)
    note("copy", owner.post(f"/api/v1/characters/{character['id']}/duplicate", status=201))
    note("characters", [c["name"] for c in owner.get("/api/v1/characters?q=ada")["items"]])
    persona = note("persona", owner.post("/api/v1/personas", {"name": "Me", "description": "tall"}, status=201))
    folder = note("folder", owner.post("/api/v1/folders", {"name": "Box"}, status=201))
    conversation = note("conversation", owner.conversation(character_id=character["id"], persona_id=persona["id"],
                                                           folder_id=folder["id"], model=model))
    note("greetings", owner.path_of(conversation))
    events = Events(owner)
    said = owner.say(conversation, "words=3 | zebra crossing at night")
    note("said", said["message"])
    first = note("reply", fixed(events.wait_end(said["reply"])))
    again = owner.post(f"/api/v1/messages/{first['id']}/regenerate")["message"]
    note("again", fixed(events.wait_end(again)))
    note("select", owner.post(f"/api/v1/messages/{first['id']}/select")["conversation"])
    edit = owner.post(f"/api/v1/messages/{said['message']['id']}/edit", {"content": "words=2 | quiet zebra"})["message"]
    note("edit", owner.message(edit))
    note("path", [fixed(m) for m in owner.path_of(conversation)])
    note("fork", owner.post(f"/api/v1/messages/{edit['id']}/fork", status=201))
    note("search", [hit["snippet"] for hit in owner.get("/api/v1/search?q=zebra")["items"]])
    owner.delete(f"/api/v1/messages/{edit['id']}")
    note("after delete", [fixed(m) for m in owner.path_of(conversation)])
    owner.post(f"/api/v1/messages/{edit['id']}/restore")
    note("after restore", owner.get(f"/api/v1/conversations/{conversation['id']}")["message_count"])
    for error in ("status=401", "status=429", "status=500", "words=6 cut=3"):
        failed = events.wait_end(owner.say(conversation, f"{error} | x")["reply"])
        note(error, [failed["status"], failed["error"] and failed["error"]["slug"], failed["content"]])
    key = {"Idempotency-Key": "once-1"}
    path = f"/api/v1/conversations/{conversation['id']}/messages"
    body = {"content": "only once", "reply": False}
    one, two = (owner.post(path, body, headers=key) for _ in range(2))
    note("idempotent", one["message"]["id"] == two["message"]["id"])
    note("other body", owner.request("POST", path, {**body, "content": "other"}, headers=key).status_code)
    owner.delete(f"/api/v1/conversations/{conversation['id']}")
    note("gone", owner.request("GET", f"/api/v1/conversations/{conversation['id']}").status_code)
    note("back", owner.post(f"/api/v1/conversations/{conversation['id']}/restore")["title"])
    note("preferences", owner.ok("PUT", "/api/v1/me/preferences", {"theme": "dark", "n": {"a": ["ü"]}}))
    note("settings", owner.patch("/api/v1/settings", {"mature_allowed": True})["mature_allowed"])
    limited = owner.new_key("chat")
    note("key", limited.request("GET", "/api/v1/providers").status_code)
    pages, after = [], ""
    while after is not None:
        page = owner.get(f"/api/v1/conversations?limit=1{after}")
        pages += [c["message_count"] for c in page["items"]]
        after = f"&after={page['next']}" if page["next"] else None
    note("pages", pages)
    events.close()
    return log


def fixed(message):
    """What a clock decides is not compared."""
    return {k: v for k, v in message.items() if k not in ("tokens_per_second", "duration_ms")}


def test_both_databases_answer_alike(make_server, upstream):
    logs = [flow(make_server(db=db, engine="fake").start(), upstream) for db in ("postgres", "sqlite")]
    ports = re.compile(r"prv_#?\w*/echo|#\d+/echo")
    for (name, left), (_, right) in zip(*logs, strict=True):
        assert ports.sub("model", left) == ports.sub("model", right), name


@pytest.mark.server(db="postgres")
def test_second_start_and_users(server, owner):
    made = owner.post("/api/v1/characters", {"card": {"name": "Ada"}}, status=201)
    server.add_user("Tom")
    server.stop()
    server.start()
    assert server.sign_in().get(f"/api/v1/characters/{made['id']}")["name"] == "Ada"
    assert server.sign_in("Tom").request("GET", f"/api/v1/characters/{made['id']}").status_code == 404


@pytest.mark.server(db="postgres", engine="fake")
def test_reply_survives_a_kill(server, owner, upstream):
    conversation = owner.conversation(model=upstream.connect(owner))
    events = Events(owner)
    reply = owner.say(conversation, "words=3 wait=kill | x")["reply"]
    events.wait_delta(reply)
    server.kill()
    upstream.release("kill")
    server.start()
    assert server.sign_in().message(reply)["status"] == "interrupted"


def test_unreachable_database_is_said(make_server):
    server = make_server()
    server.database = "postgres://nobody@/none?host=/nonexistent-folder"
    code, said = server.fails_to_start()
    assert code == 1 and "nonexistent-folder" in said, said


@pytest.mark.server(db="postgres")
def test_database_password_stays_secret(make_server):
    server = make_server()
    server.database = "postgres://user:hunter2-secret@127.0.0.1:1/none"
    code, said = server.fails_to_start()
    assert code == 1 and "hunter2" not in said, said
    ini = server.data / "atelier.ini"
    ini.write_text(f"database = {server.database}\n")
    import subprocess
    shown = subprocess.run([server.program, "config", "--data", str(server.data)], env=server.env(),
                           capture_output=True, text=True).stdout
    assert "database" in shown and "hunter2" not in shown


@pytest.mark.server(db="postgres")
def test_readyz_tells_a_lost_database(server):
    """The database refuses connections for a moment: /livez stays, /readyz says so and recovers."""
    import os
    import subprocess
    client = Client(server)
    assert client.request("GET", "/readyz").status_code == 200
    name = re.search(r"//[^/]*/([^?]+)", server.database).group(1)

    def sql(text):
        subprocess.run(["psql", "-q", "-X", os.environ["ATELIER_TEST_PG"], "-c", text], check=True, capture_output=True)

    sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    answer = client.request("GET", "/readyz", timeout=120)
    assert answer.status_code == 503 and answer.json()["slug"]
    assert client.request("GET", "/livez").status_code == 200
    sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    wait_until(lambda: client.request("GET", "/readyz", timeout=120).status_code == 200, what="readiness")
