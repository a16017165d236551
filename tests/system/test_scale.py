"""10,000 messages in one conversation and 1,000 characters stay fluent.

Times are taken around the request on one kept-alive loopback connection: an upper bound of the server's time. They are
printed, and judged on the release build by their middle against that of a request that does nothing, taken in turn with them: a
machine that is slow or busy is so for both. What grows with the 10,000 is hundreds of times as much.
"""
import http.client
import json
import threading
import time

import pytest

import harness

MESSAGES = 10_000
CHARACTERS = 1_000
TALK = "The lamp turns and the sea answers. " * 6
PROGRAM = harness.release_binary()
OPEN_MS, OPEN_TIMES = 5.0, 60    # at most one of them: milliseconds, times a request that does nothing
LIST_MS, LIST_TIMES = 10.0, 120


def fill(server, key, path, bodies, status):
    """POSTs all bodies over a few kept-alive connections."""
    waiting = iter(list(bodies))
    lock = threading.Lock()
    problems = []

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=harness.WAIT_S)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        while not problems:
            with lock:
                body = next(waiting, None)
            if body is None:
                break
            connection.request("POST", path, body=json.dumps(body), headers=headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != status:
                problems.append((answer.status, text))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems[0]


def timed(client, path, times):
    """Milliseconds of `times` requests on one connection, and the last answer."""
    connection = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=harness.WAIT_S)
    headers = {"Authorization": f"Bearer {client.key}"}
    took, body = [], b""
    for _ in range(times + 5):
        begin = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - begin) * 1000)
        assert answer.status == 200, body
    connection.close()
    return sorted(took[5:]), json.loads(body)


def beside_nothing(client, path, times):
    """Milliseconds of `times` requests, each followed by one of /livez: what both lose to other work on the machine is
    not the server's. The better of three runs."""
    runs = []
    for _ in range(3):
        connection = http.client.HTTPConnection("127.0.0.1", client.server.port, timeout=harness.WAIT_S)
        took = {path: [], "/livez": []}
        for _ in range(times):
            for target, list_ in took.items():
                begin = time.perf_counter()
                connection.request("GET", target, headers={"Authorization": f"Bearer {client.key}"})
                assert connection.getresponse().read()
                list_.append((time.perf_counter() - begin) * 1000)
        connection.close()
        runs.append([sorted(list_) for list_ in took.values()])
    return min(runs, key=lambda run: percentile(run[0], .5))


def percentile(took, share):
    return took[min(len(took) - 1, int(len(took) * share))]


@pytest.mark.parametrize("db", ["sqlite", "postgres"])
def test_a_long_conversation_and_many_characters(make_server, capsys, db):
    server = make_server(db=db, program=PROGRAM).start()
    owner = server.setup().new_key()
    conversation = owner.conversation()
    path = f"/api/v1/conversations/{conversation['id']}"
    fill(server, owner.key, f"{path}/messages", ({"reply": False, "content": f"Message number {i}. {TALK}"}
                                                 for i in range(MESSAGES)), 202)
    fill(server, owner.key, "/api/v1/characters", (
        {"card": {"name": f"Character {i:04}", "tags": [f"tag{i % 7}"], "description": "Keeps a lighthouse. " * 20}}
        for i in range(CHARACTERS)), 201)
    assert owner.get(path)["message_count"] == MESSAGES
    found = {}
    page = owner.get(f"{path}/messages?limit=50")
    found["open conversation"], found["nothing"] = beside_nothing(owner, f"{path}/messages?limit=50", 200)
    assert len(page["items"]) == 50 and page["more"]
    shown = [m["id"] for m in page["items"]]
    found["older page"], page = timed(owner, f"{path}/messages?limit=50&before={page['items'][0]['id']}", 50)
    assert len(page["items"]) == 50 and not set(shown) & {m["id"] for m in page["items"]}
    found["conversation"], _ = timed(owner, path, 50)
    found["list conversations"], _ = timed(owner, "/api/v1/conversations", 50)
    found["list characters"], page = timed(owner, "/api/v1/characters?limit=50", 200)
    assert len(page["items"]) == 50 and page["next"]
    found["search"], hits = timed(owner, "/api/v1/search?q=%22number%20777%22", 20)
    assert hits["items"]
    begin = time.perf_counter()
    said = [owner.say(conversation, f"one more {i}", reply=False)["message"] for i in range(20)]
    found["append"] = [(time.perf_counter() - begin) * 1000 / len(said)]
    assert said[0]["parent_id"]
    with capsys.disabled():
        print(f"\n  {db}, {'release' if PROGRAM else 'sanitized'} build, ms p50/p99: " + ", ".join(
            f"{name} {percentile(took, .5):.1f}/{percentile(took, .99):.1f}" for name, took in found.items()))
    if PROGRAM:
        # the tails are the machine's: judged where it is quiet (docs/performance.md)
        nothing = percentile(found["nothing"], .5)
        assert percentile(found["open conversation"], .5) <= max(OPEN_MS, OPEN_TIMES * nothing)
        assert percentile(found["list characters"], .5) <= max(LIST_MS, LIST_TIMES * nothing)
    assert walk(owner, "/api/v1/characters?limit=200") >= CHARACTERS


def walk(client, path):
    """Follow `next` to the end; every id once."""
    ids, after = [], ""
    while True:
        page = client.get(path + after)
        ids += [item["id"] for item in page["items"]]
        if not page["next"]:
            break
        after = f"&after={page['next']}"
    assert len(ids) == len(set(ids))
    return len(ids)
