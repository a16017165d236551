"""SIGKILL at any point: the books balance. Replies on the page, requests under /v1 and jobs run under quotas of every scope
while the server is killed again and again; afterwards every balance is the ledger's sum, nothing is reserved, and what
the ledger says of a reply or job is what the reply or job says of itself, money by the true tokens among it.
"""
import os
import random
import sqlite3
import subprocess
import threading
from collections import defaultdict

import pytest
import requests

import harness
from harness import WAIT_S, Client, wait_until

PROGRAM = harness.release_binary()
ROUNDS = int(os.environ.get("KILL_ROUNDS") or (60 if PROGRAM else 12))
DAY = 86400000
INPUT, OUTPUT = 3_000_000, 15_000_000  # micro-dollars a million tokens


def rows(server, sql):
    """Of the stopped server's database, every column as text."""
    if not server.database:
        with sqlite3.connect(f"file:{server.data}/atelier.db?mode=ro", uri=True) as db:
            return [tuple("" if value is None else str(value) for value in row) for row in db.execute(sql)]
    found = subprocess.run(["psql", "-X", "-A", "-t", "-F", "\t", server.database, "-c", sql], check=True, capture_output=True,
                           text=True).stdout
    return [tuple(line.split("\t")) for line in found.splitlines()]


class Worker(threading.Thread):
    """Uses the server as fast as it answers; whatever is cut off is left as it is."""

    def __init__(self, server, key, work):
        super().__init__(daemon=True)
        self.server, self.key, self.work = server, key, work
        self.go, self.idle = threading.Event(), threading.Event()
        self.idle.set()
        self.failure, self.over, self.refused, self.done = None, False, 0, 0

    def run(self):
        while True:
            self.go.wait()
            if self.over:
                return
            try:
                client = Client(self.server, self.key)
                while self.go.is_set():
                    status = self.work(client)
                    assert status in (200, 202, 429, 503), status
                    self.refused += status == 429
                    self.done += status < 300
            except requests.RequestException:
                pass  # killed
            except Exception as problem:  # told by the test's thread
                self.failure = problem
            self.go.clear()
            self.idle.set()


def check_balances(server):
    """Every balance is the ledger's sum for it, and nothing is reserved any more."""
    ended, open_ = defaultdict(int), set()
    for ref, kind, step, user, key, model, amount, at in rows(
            server, "SELECT ref, kind, step, user_id, key_id, model, amount, at FROM ledger ORDER BY step"):
        if step == "0":
            open_.add((ref, kind))
            continue
        open_.discard((ref, kind))
        for subject in {user, key, "server"} - {""}:
            ended[subject, kind, model, int(at)] += int(amount)
    assert not open_, f"reserved for ever: {sorted(open_)[:5]}"
    balances = rows(server, "SELECT subject, kind, model, span, start_at, used, reserved FROM balances")
    assert balances
    for subject, kind, model, span, start, used, reserved in balances:
        start = int(start)
        length = {"day": DAY, "total": 10 ** 15}[span]
        truth = sum(amount for (who, what, which, at), amount in ended.items()
                    if who == subject and what == kind and model in ("", which) and start <= at < start + length)
        assert (int(used), int(reserved)) == (truth, 0), (subject, kind, model, span)


def check_replies(server, model):
    """A reply that said something is one message with its tokens and their price; one that did not is nothing."""
    booked = defaultdict(dict)
    for ref, kind, amount in rows(server, "SELECT ref, kind, amount FROM ledger WHERE step = 1"):
        booked[ref][kind] = int(amount)
    complete = 0
    for id_, status, content, prompt, reply in rows(
            server, "SELECT id, status, length(content), prompt_tokens, completion_tokens FROM messages WHERE role = 'assistant'"):
        amounts = booked.get(id_, {})
        assert status != "streaming", id_
        if status == "complete":
            cost = -(-(int(prompt) * INPUT + int(reply) * OUTPUT) // 10 ** 6)
            assert amounts == {"messages": 1, "input_tokens": int(prompt), "output_tokens": int(reply), "money_micro_usd": cost}, id_
            complete += 1
        elif status == "interrupted":
            assert not any(amounts.values()), (id_, amounts)
    return complete


def check_jobs(server):
    booked = {ref: int(amount) for ref, amount in rows(server, "SELECT ref, amount FROM ledger WHERE step = 1 AND kind = 'pictures'")}
    jobs = rows(server, "SELECT id, state, done_count FROM jobs")
    for id_, state, delivered in jobs:
        assert state in ("done", "failed", "cancelled"), id_
        assert booked[id_] == int(delivered), (id_, state)
    return len(jobs)


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_the_books_balance_after_every_kill(make_server, upstream, capsys, db):
    rounds = ROUNDS if db == "sqlite" else max(4, ROUNDS // 6)
    server = make_server(db=db, engine="fake", program=PROGRAM).start()
    owner = server.setup()
    fake = owner.post("/api/v1/providers", {"preset": "fake"}, status=201)["id"]
    service = owner.post("/api/v1/providers", {"preset": "custom", "name": "Up", "base_url": upstream.base_url,
                                               "key": "sk-scripted"}, status=201)["id"]
    owner.post(f"/api/v1/providers/{service}/refresh")
    model = f"{service}/echo"
    owner.ok("PUT", "/api/v1/prices", {"model": model, "input_micro_usd": INPUT, "output_micro_usd": OUTPUT})
    for scope, kind, amount in (("everyone", "messages", 100000), ("server", "money_micro_usd", 10 ** 12),
                                ("role", "pictures", 100000), ("everyone", "output_tokens", 10 ** 9)):
        owner.ok("PUT", "/api/v1/quotas", {"scope": scope, "subject": "owner" if scope == "role" else "", "kind": kind,
                                           "span": "total" if scope == "server" else "day", "amount": amount})
    conversations = [owner.conversation(title="books", model=model)["id"] for _ in range(2)]
    owner = owner.new_key()

    def say(client):
        return client.request("POST", f"/api/v1/conversations/{random.choice(conversations)}/messages",
                              {"content": f"words={random.randint(1, 12)} delay=0.002 |"}).status_code

    def relay(client):
        return client.request("POST", "/v1/chat/completions", {"model": model, "stream": False, "messages": [
            {"role": "user", "content": "words=9 |"}]}).status_code

    def draw(client):
        return client.request("POST", "/api/v1/jobs", {"prompt": "a boat", "model": f"{fake}/noop"}).status_code

    workers = [Worker(server, owner.key, work) for work in (say, relay, draw)]
    for worker in workers:
        worker.start()
    dice = random.Random(int(os.environ.get("KILL_SEED", "1")))
    for round_ in range(rounds):
        for worker in workers:
            worker.idle.clear()
            worker.go.set()
        harness.under_load(workers, lambda: sum(one.done for one in workers))
        threading.Event().wait(dice.uniform(0.1, 0.7))  # the load itself is the clock: killed somewhere in its middle
        server.kill()
        for worker in workers:
            worker.go.clear()
            assert worker.idle.wait(WAIT_S), "a client hangs"
            assert not worker.failure, f"round {round_}: {worker.failure!r}"
        server.start()
    owner.http.close()
    wait_until(lambda: not owner.get("/api/v1/jobs?state=active&limit=1")["items"], what="every job's end")
    server.stop()
    for worker in workers:
        worker.over = True
        worker.go.set()
    check_balances(server)
    complete, jobs = check_replies(server, model), check_jobs(server)
    with capsys.disabled():
        print(f"\n  {db}: {rounds} kills, {complete} whole replies, {workers[1].done} requests under /v1, {jobs} jobs")
    assert complete and jobs and workers[1].done, "there was no load"
