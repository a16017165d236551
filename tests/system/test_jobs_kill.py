"""SIGKILL under a load of jobs: no acknowledged job is lost, none is doubled, none is paid for twice, every one ends.

Clients submit with an idempotency key and repeat whatever got no answer. Two kinds of services: the scripted one, whose
runs cost nothing and may be repeated, and an HTTP double of a service that charges, which counts what it is asked for.
"""
import base64
import json
import os
import random
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

import harness
from harness import WAIT_S, Client, wait_until

PROGRAM = harness.release_binary()
ROUNDS = int(os.environ.get("KILL_ROUNDS") or (200 if PROGRAM else 20))
ENDED = ("done", "failed", "cancelled")
PICTURE = base64.b64encode(bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082")).decode()


class Charging:
    """POST /v1/images/generations; `asked` counts each prompt."""

    def __init__(self):
        outer = self
        self.asked, self.lock = {}, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, value):
                body = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.answer({"object": "list", "data": [{"id": "gpt-image-1", "object": "model"}]})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    outer.asked[asked["prompt"]] = outer.asked.get(asked["prompt"], 0) + 1
                threading.Event().wait(0.02)  # the work
                self.answer({"created": 1, "data": [{"b64_json": PICTURE}]})

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a killed reader

        self.http = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.base_url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def close(self):
        self.http.shutdown()
        self.http.server_close()


class Submitter(threading.Thread):
    """One client; its own account of what was asked for and what was acknowledged."""

    def __init__(self, number, server, key, models):
        super().__init__(daemon=True)
        self.number, self.server, self.key, self.models = number, server, key, models
        self.sent = {}       # prompt -> None (asked) or the id that was acknowledged
        self.pending = None  # (key, body) without an answer
        self.failure, self.answered = None, 0
        self.go, self.idle = threading.Event(), threading.Event()
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
            self.pending = (uuid.uuid4().hex, {"prompt": f"a boat {self.number} {uuid.uuid4().hex}",
                                               "model": random.choice(self.models)})
        key, body = self.pending
        self.sent.setdefault(body["prompt"], None)
        answer = client.request("POST", "/api/v1/jobs", body, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        assert answer.json()["prompt"] == body["prompt"]
        self.sent[body["prompt"]] = answer.json()["id"]
        self.pending = None
        self.answered += 1


def all_jobs(client):
    jobs, after = [], ""
    while True:
        page = client.get(f"/api/v1/jobs?limit=200{after}")
        jobs += page["items"]
        if not page["next"]:
            return jobs
        after = f"&after={page['next']}"


def check(submitters, jobs):
    ids = {}
    for job in jobs:
        ids.setdefault(job["prompt"], []).append(job["id"])
    assert not [prompt for prompt, found in ids.items() if len(found) > 1], "doubled"
    for submitter in submitters:
        lost = [prompt for prompt, id_ in submitter.sent.items() if id_ and ids.get(prompt) != [id_]]
        assert not lost, f"lost: {lost}"


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_no_acknowledged_job_is_lost_or_run_twice(make_server, capsys, db):
    rounds = ROUNDS if db == "sqlite" else max(3, ROUNDS // 20)
    charging = Charging()
    server = make_server(db=db, engine="fake", program=PROGRAM).start()
    owner = server.setup()
    fake = owner.post("/api/v1/providers", {"preset": "fake"}, status=201)["id"]
    paid = owner.post("/api/v1/providers", {"preset": "custom", "name": "Charging", "base_url": charging.base_url,
                                            "key": "sk-scripted-secret-0123456789"}, status=201)["id"]
    owner.post(f"/api/v1/providers/{paid}/refresh")
    owner = owner.new_key()
    models = [f"{fake}/noop", f"{fake}/noop", f"{fake}/slow", f"{paid}/gpt-image-1"]
    submitters = [Submitter(i, server, owner.key, models) for i in range(3)]
    for submitter in submitters:
        submitter.start()
    dice = random.Random(int(os.environ.get("KILL_SEED", "1")))
    slowest = cut = 0
    for round_ in range(rounds):
        for submitter in submitters:
            submitter.idle.clear()
            submitter.go.set()
        # the load itself is the clock: killed somewhere in its middle
        harness.under_load(submitters, lambda: sum(one.answered for one in submitters))
        threading.Event().wait(dice.uniform(0.02, 0.15))
        server.kill()
        for submitter in submitters:
            submitter.go.clear()
            assert submitter.idle.wait(WAIT_S), "a client hangs"
            assert not submitter.failure, f"round {round_}: {submitter.failure!r}"
            cut += submitter.pending is not None
        server.start()
        slowest = max(slowest, server.ready_s)
        if round_ % 20 == 19:
            check(submitters, all_jobs(owner))
    owner.http.close()
    wait_until(lambda: not owner.get("/api/v1/jobs?state=active&limit=1")["items"], timeout=240, what="every job's end")
    jobs = all_jobs(owner)
    check(submitters, jobs)
    for submitter in submitters:
        submitter.over = True
        submitter.go.set()
    charging.close()
    assert not [job["id"] for job in jobs if job["state"] not in ENDED]
    twice = [prompt for prompt, count in charging.asked.items() if count > 1]
    assert not twice, f"charged twice: {twice}"
    states = {}
    for job in jobs:
        name = f"{'paid' if job['model'].startswith(paid) else 'free'} {job['state']} {job['error_slug'] or ''}".strip()
        states[name] = states.get(name, 0) + 1
        if job["model"].startswith(paid) and job["state"] == "failed":
            assert job["error_slug"] == "interrupted", job
        assert job["attempt"] <= 2 and (job["attempt"] <= 1 or not job["model"].startswith(paid)), job
        if job["state"] == "done" and not job["model"].endswith("noop"):
            assert len(job["assets"]) == 1 and job["done_count"] == 1, job
    with capsys.disabled():
        print(f"\n  {db}: {rounds} kills, {len(jobs)} jobs {states}, {cut} cut requests, "
              f"slowest start {slowest * 1000:.0f} ms")
    assert len(jobs) >= rounds and cut >= rounds // 4, "there was no load"


AT_ONCE_S = 15  # less than what is left of a lease that was renewed every 10 s


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_what_ran_goes_on_at_once_after_a_kill(make_server, db):
    """A killed server's leases last 20 to 30 s more: it knows them as its own and waits for none of them."""
    server = make_server(db=db, engine="fake", program=PROGRAM).start()
    owner = server.setup()
    fake = owner.post("/api/v1/providers", {"preset": "fake"}, status=201)["id"]
    job = owner.post("/api/v1/jobs", {"prompt": "a boat", "model": f"{fake}/hang"}, status=202)
    wait_until(lambda: owner.get(f"/api/v1/jobs/{job['id']}")["state"] == "running", what="its start")
    server.kill()
    server.start()
    owner = server.sign_in()
    wait_until(lambda: owner.get(f"/api/v1/jobs/{job['id']}")["attempt"] == 2, AT_ONCE_S, "its second start")
    server.kill()
    server.start()
    job = server.sign_in().get(f"/api/v1/jobs/{job['id']}")
    assert (job["state"], job["error_slug"]) == ("failed", "interrupted"), job
