"""Backups and the audit log from the command line: what comes back is what was there, and what is wrong is refused."""
import base64
import hashlib
import sqlite3
import subprocess

import pytest

import harness

PASSPHRASE = "a long way home 17"
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==")


def command(server, *words, data=None, database=None, given=None):
    line = [server.program, *words, "--data", str(data or server.data)]
    if database or (server.database and data is None):
        line += ["--database", database or server.database]
    done = subprocess.run(line, input=given, env=server.env(), capture_output=True, text=True, timeout=120)
    assert not harness.SANITIZER.search(done.stderr), done.stderr
    return done


def backup(server, path, passphrase=PASSPHRASE):
    return command(server, "backup", str(path), given=passphrase + "\n")


def restore(server, path, data, passphrase=PASSPHRASE, database=None):
    return command(server, "restore", str(path), data=data, database=database, given=passphrase + "\n")


def fill(server):
    owner = server.setup()
    owner.post("/api/v1/characters", {"card": {"name": "Ada \u2603", "first_mes": "Hello 'there'\n\t\"you\"."}}, status=201)
    for number in range(3):
        owner.conversation(title=f"Talk {number}")
    owner.request("PUT", "/api/v1/me/preferences", {"theme": "dark", "ratio": 0.1})
    owner.ok("PATCH", "/api/v1/settings", {"mature_allowed": True})
    owner.new_key("chat")
    return owner


def sqlite_rows(data):
    """Every table of the file, search index and all."""
    with sqlite3.connect(f"file:{data}/atelier.db?mode=ro", uri=True) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return {name: sorted(map(repr, db.execute(f'SELECT * FROM "{name}"'))) for name in names}


def postgres_rows(url):
    def ask(sql):
        return subprocess.run(["psql", "-X", "-A", "-t", url, "-c", sql], check=True, capture_output=True, text=True).stdout
    names = ask("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'").split()
    return {name: sorted(ask(f'SELECT to_jsonb(t)::text FROM "{name}" t').splitlines()) for name in sorted(names)
            if name != "schema_migrations"}


def blobs(data):
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (data / "blobs").rglob("*") if path.is_file()}


def put_blobs(data):
    """Files as the store names them, one of them larger than a sealed piece."""
    for content in (PIXEL, b"x" * 200_000, b""):
        name = hashlib.sha256(content).hexdigest()
        folder = data / "blobs" / name[:2]
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / f"{name}.t256").write_bytes(content[:100])


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_what_comes_back_is_what_was_there(make_server, tmp_path, db):
    server = make_server(db=db).start()
    fill(server)
    put_blobs(server.data)
    made = backup(server, tmp_path / "one.backup")
    assert made.returncode == 0, made.stderr
    assert "rows in" in made.stdout
    assert not list(tmp_path.glob("one.backup?*")), "something was left beside the backup"
    content = (tmp_path / "one.backup").read_bytes()
    assert b"Talk 1" not in content and b"SQLite" not in content
    server.stop()
    # the backup itself wrote one row into the audit log, after its own state
    target = tmp_path / "restored"
    url = harness.new_postgres_database() if db == "postgres" else None
    done = restore(server, tmp_path / "one.backup", target, database=url)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in target.iterdir()) == sorted(
        ["blobs", "master.key"] + (["atelier.db"] if db == "sqlite" else []))
    before = postgres_rows(server.database) if db == "postgres" else sqlite_rows(server.data)
    after = postgres_rows(url) if db == "postgres" else sqlite_rows(target)
    assert before.keys() == after.keys()
    for name in before:
        if name in ("audit", "audit_head"):
            continue
        if name in ("sessions", "api_keys"):  # times of last use are written at the stop
            assert len(before[name]) == len(after[name])
            continue
        assert before[name] == after[name], name
    assert set(after["audit"]) < set(before["audit"])
    assert len(before["audit"]) == len(after["audit"]) + 1
    assert blobs(server.data) == blobs(target)
    assert (server.data / "master.key").read_bytes() == (target / "master.key").read_bytes()
    again = make_server(db="sqlite")
    again.data, again.database = target, url
    again.start()
    owner = again.sign_in()
    assert len(owner.get("/api/v1/conversations")["items"]) == 3
    assert owner.get("/api/v1/audit/verify")["intact"]
    owner.conversation(title="one more")


def test_what_is_wrong_is_refused_and_leaves_nothing(make_server, tmp_path):
    server = make_server().start()
    fill(server)
    put_blobs(server.data)
    path = tmp_path / "one.backup"
    assert backup(server, path).returncode == 0
    assert backup(server, path).returncode == 1, "a file that is there is not replaced"
    assert backup(server, tmp_path / "short.backup", "short").returncode == 1
    assert not (tmp_path / "short.backup").exists()
    whole = path.read_bytes()
    wrong = {
        "passphrase": (whole, "the wrong passphrase", "passphrase is wrong"),
        "cut in the middle": (whole[:len(whole) // 2], PASSPHRASE, "cut short"),
        "without its last byte": (whole[:-1], PASSPHRASE, "cut short"),
        "one more byte": (whole + b"x", PASSPHRASE, "damaged"),
        "one bit": (whole[:150_000] + bytes([whole[150_000] ^ 1]) + whole[150_001:], PASSPHRASE, "damaged"),
        "another kind of file": (b"PK\x03\x04" + b"0" * 500, PASSPHRASE, "not a file"),
        "nothing": (b"", PASSPHRASE, "not a file"),
    }
    for name, (content, passphrase, sentence) in wrong.items():
        file, target = tmp_path / "wrong.backup", tmp_path / "target"
        file.write_bytes(content)
        done = restore(server, file, target, passphrase)
        assert done.returncode == 1, name
        assert sentence in done.stderr, (name, done.stderr)
        assert not target.exists() or not list(target.iterdir()), name
    busy = tmp_path / "busy"
    busy.mkdir()
    (busy / "kept.txt").write_text("mine")
    done = restore(server, path, busy)
    assert done.returncode == 1 and "not empty" in done.stderr
    assert [p.name for p in busy.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("harm, row", [
    ("UPDATE audit SET note = 'never' WHERE seq = 2", 2),
    ("DELETE FROM audit WHERE seq = 2", 2),
    ("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)", None),
    ("UPDATE audit SET seq = -1 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = -1", 2),
])
def test_a_hand_in_the_audit_log_is_found(make_server, harm, row):
    server = make_server().start()
    owner = fill(server)
    assert owner.get("/api/v1/audit/verify") == {"intact": True, "rows": 3, "broken_at": None, "why": None}
    done = command(server, "audit", "verify")
    assert done.returncode == 0 and "whole: 3 rows" in done.stdout
    with sqlite3.connect(server.data / "atelier.db") as db:
        db.executescript(harm)
    done = command(server, "audit", "verify")
    assert done.returncode == 1
    assert f"row {row or 3}:" in done.stderr
    assert owner.get("/api/v1/audit/verify")["broken_at"] == (row or 3)


def test_the_server_keeps_its_own(make_server, tmp_path):
    """Made through the API, the last N kept, for owners to download; what is downloaded can be restored."""
    server = make_server().start()
    owner = fill(server)
    server.add_user("Ada", "admin")
    admin = server.sign_in("Ada")
    wrong = admin.request("POST", "/api/v1/server/backups", {})
    assert wrong.status_code == 400 and wrong.json()["field"] == "passphrase"
    plan = owner.patch("/api/v1/server", {"backup_keep": 1, "backup_passphrase": PASSPHRASE})
    assert plan["backup_has_passphrase"] and PASSPHRASE not in str(plan)
    made = admin.post("/api/v1/server/backups", {}, status=201)
    assert [one["name"] for one in owner.get("/api/v1/server/backups")["items"]] == [made["name"]]
    path = f"/api/v1/server/backups/{made['name']}"
    assert admin.request("GET", path).status_code == 403
    for name in ("..%2Fmaster.key", "master.key", "atelier-.backup"):
        assert owner.request("GET", f"/api/v1/server/backups/{name}").status_code in (400, 404)
    content = owner.request("GET", path).content
    assert len(content) == made["size_bytes"]
    (tmp_path / "down.backup").write_bytes(content)
    assert restore(server, tmp_path / "down.backup", tmp_path / "again").returncode == 0
    actions = [row["action"] for row in owner.get("/api/v1/audit?action=backup.")["items"]]
    assert sorted(actions) == ["backup.create", "backup.download"]
    lines = owner.request("GET", "/api/v1/audit/export?format=jsonl&action=backup.").text.splitlines()
    assert len(lines) == 2
    assert owner.request("GET", "/api/v1/audit/export").text.splitlines()[0].startswith("seq,at,user_id,")


def test_maintenance_keeps_everybody_but_admins_out(make_server):
    server = make_server().start()
    owner = fill(server)
    server.add_user("Mel")
    member = server.sign_in("Mel")
    owner.patch("/api/v1/server", {"maintenance": True})
    refused = harness.Client(server).request("POST", "/api/v1/session", {"name": "Mel", "password": harness.PASSWORD})
    assert refused.status_code == 503 and "worked on" in refused.json()["detail"]
    assert member.request("POST", "/api/v1/conversations", {}).status_code == 503
    assert member.get("/api/v1/conversations")["items"] == []
    server.sign_in("Olivia").conversation()
    server.stop()
    server.start()
    assert server.sign_in("Olivia").get("/api/v1/notice")["maintenance"]
    server.sign_in("Olivia").patch("/api/v1/server", {"maintenance": False})
    server.sign_in("Mel").conversation()
