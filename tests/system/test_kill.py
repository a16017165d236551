"""SIGKILL under load, again and again: no acknowledged write is lost, none is doubled, no reply stays `streaming`.

Writers append with an idempotency key and repeat whatever got no answer, edit in place, and let replies stream from a
scripted upstream. After every kill and restart the whole truth is compared: what was acknowledged is there exactly
once; what was sent without an answer is there once or not at all.
"""
import os
import random
import statistics
import threading
import uuid

import pytest
import requests

import harness
from harness import WAIT_S, Client, wait_until

PROGRAM = harness.release_binary()
ROUNDS = int(os.environ.get("KILL_ROUNDS") or (200 if PROGRAM else 40))
WRITERS = 4


class Writer(threading.Thread):
    """One client with one conversation; its own account of what must be and what may be there."""

    def __init__(self, number, server, owner, model):
        super().__init__(daemon=True)
        self.number, self.server, self.model = number, server, model
        self.conversation = owner.conversation(title=f"writer {number}", model=model)
        self.key = owner.new_key().key
        self.sent = {}        # text -> "asked" | "acknowledged"
        self.pending = None   # (text, idempotency key, body) that got no answer
        self.edits = {}       # message id -> list of texts of which the last acknowledged one or a later one must be there
        self.failure = None
        self.answered = 0
        self.go = threading.Event()
        self.idle = threading.Event()
        self.idle.set()
        self.over = False

    def run(self):
        while True:
            self.go.wait()
            if self.over:
                return
            try:
                client = Client(self.server, self.key)
                while self.go.is_set():
                    self.one(client)
            except requests.RequestException:
                pass  # killed: what is pending stays pending
            except Exception as problem:  # told by the test's thread
                self.failure = problem
            self.go.clear()
            self.idle.set()

    def one(self, client):
        if not self.pending:
            text = f"{self.number}-{uuid.uuid4().hex}"
            body = {"content": text, "reply": False}
            if random.random() < 0.2:
                body = {"content": f"words=200 delay=0.01 | {text}"}
            self.pending = (body["content"], uuid.uuid4().hex, body)
        text, key, body = self.pending
        self.sent[text] = "asked"
        answer = client.request("POST", f"/api/v1/conversations/{self.conversation['id']}/messages", body,
                                headers={"Idempotency-Key": key})
        if answer.status_code == 429:  # too many replies are being written: nothing was stored
            del self.sent[text]
            self.pending = None
            return
        assert answer.status_code in (200, 201, 202), answer.text
        message = answer.json()["message"]
        assert message["content"] == text
        self.sent[text] = "acknowledged"
        self.pending = None
        self.answered += 1
        if random.random() < 0.3:
            self.edit(client, message)

    def edit(self, client, message):
        """In place: the text is the old one or the new one, and the new one once it was acknowledged."""
        new = f"{message['content']} edited {uuid.uuid4().hex[:8]}"
        allowed = self.edits.setdefault(message["id"], [message["content"]])
        del self.sent[message["content"]]
        allowed.append(new)
        answer = client.request("POST", f"/api/v1/messages/{message['id']}/edit", {"content": new, "in_place": True})
        assert answer.status_code in (200, 202), answer.text
        self.edits[message["id"]] = [new]

    def check(self, client):
        items, before = [], ""
        while True:
            page = client.get(f"/api/v1/conversations/{self.conversation['id']}/messages?limit=200{before}")
            items = page["items"] + items
            if not page["more"]:
                break
            before = f"&before={page['items'][0]['id']}"
        ids = [m["id"] for m in items]
        assert len(ids) == len(set(ids))
        assert not [m["id"] for m in items if m["status"] == "streaming"], "a reply stays streaming"
        found = {}
        for message in items:
            if message["role"] == "user" and message["id"] not in self.edits:
                found[message["content"]] = found.get(message["content"], 0) + 1
        doubled = [text for text, count in found.items() if count > 1]
        assert not doubled, f"doubled: {doubled}"
        lost = [text for text, state in self.sent.items() if state == "acknowledged" and text not in found]
        assert not lost, f"lost: {lost}"
        unknown = [text for text in found if text not in self.sent]
        assert not unknown, f"nobody sent: {unknown}"
        texts = {m["id"]: m["content"] for m in items}
        for message_id, allowed in self.edits.items():
            assert texts.get(message_id) in allowed, f"edit of {message_id} lost"


def renew(writer, owner):
    """A fresh conversation now and then, so that checking stays quick; what waits for its answer goes with the old."""
    writer.conversation = owner.conversation(title=f"writer {writer.number}", model=writer.model)
    writer.sent, writer.edits, writer.pending = {}, {}, None


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_no_acknowledged_write_is_lost(make_server, upstream, capsys, db):
    rounds = ROUNDS if db == "sqlite" else max(5, ROUNDS // 10)
    server = make_server(db=db, engine="fake", program=PROGRAM).start()
    owner = server.setup()
    model = upstream.connect(owner)
    owner = owner.new_key()
    writers = [Writer(i, server, owner, model) for i in range(WRITERS)]
    for writer in writers:
        writer.start()
    starts, work = [], []
    acknowledged = cut = 0
    dice = random.Random(int(os.environ.get("KILL_SEED", "1")))
    for round_ in range(rounds):
        for writer in writers:
            writer.idle.clear()
            writer.go.set()
        # the load itself is the clock: killed somewhere in its middle
        harness.under_load(writers, lambda: sum(one.answered for one in writers))
        threading.Event().wait(dice.uniform(0.05, 0.3))
        server.kill()
        for writer in writers:
            writer.go.clear()
            assert writer.idle.wait(WAIT_S), "a writer hangs"
            assert not writer.failure, f"round {round_}: {writer.failure!r}"
            cut += writer.pending is not None
        server.start()
        starts.append(server.ready_s)
        work.append(server.ready_cpu_ms)
        for writer in writers:
            writer.check(owner)
            if round_ % 20 == 19:
                acknowledged += len(writer.sent) + len(writer.edits)
                renew(writer, owner)
    for writer in writers:
        acknowledged += len(writer.sent) + len(writer.edits)
        writer.over = True
        writer.go.set()
    with capsys.disabled():
        print(f"\n  {db}: {rounds} kills, {acknowledged} acknowledged writes, {cut} cut requests, "
              f"slowest start {max(starts) * 1000:.0f} ms")
    assert acknowledged >= rounds and cut >= rounds // 4, "there was no load"
    # processor time: what the clock says is also what else the machine does
    assert statistics.median(work) <= (1000 if PROGRAM else 3000), work
    wait_until(lambda: upstream.open_streams == 0, what="the upstream's streams to end")
