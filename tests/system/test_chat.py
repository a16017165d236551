"""The main job with the true llama-server: a character answers, streaming, and the reply belongs to the server."""
import itertools
import math
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from harness import Events, quickest, wait_until

pytestmark = [pytest.mark.server(engine="real"),
              pytest.mark.skipif(not Path(os.environ.get("ATELIER_MODEL", "")).is_file(), reason="no model")]

LONG = "Tell me a very long story about a lighthouse, the sea and a cat. Do not stop early."


@pytest.fixture
def owner(server):
    client = server.setup()
    wait_until(lambda: client.get("/api/v1/engine")["state"] == "healthy", what="the engine to be healthy")
    return client


@pytest.fixture
def conversation(owner):
    character = owner.post("/api/v1/characters", {"card": {
        "name": "Mira", "description": "{{char}} keeps a lighthouse and talks with {{user}}.",
        "personality": "calm, curious", "scenario": "An evening on the coast.", "first_mes": "Good evening, {{user}}.",
        "alternate_greetings": ["Who is there?"]}}, status=201)
    return owner.conversation(character_id=character["id"])


def brief(owner, conversation, tokens=24):
    owner.patch(f"/api/v1/conversations/{conversation['id']}", {"sampling": {"max_tokens": tokens, "seed": 7}})


def long_winded(owner, conversation, seed=7):
    owner.patch(f"/api/v1/conversations/{conversation['id']}",
                {"sampling": {"max_tokens": 2000, "seed": seed, "temperature": 1.2}})


def engine_pid(server):
    for pid in server.children():
        if b"llama-server" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    return None


def busy_slots(server):
    """Asked of llama-server itself, over its own socket or port, with its own key."""
    import http.client
    import socket
    pid = engine_pid(server)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    option = {words[i]: words[i + 1] for i in range(len(words) - 1) if words[i].startswith("--")}
    connection = http.client.HTTPConnection("localhost", timeout=120)
    if option["--host"].endswith(".sock"):
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(20)
        connection.sock.connect(option["--host"])
    else:
        connection = http.client.HTTPConnection(option["--host"], int(option["--port"]), timeout=120)
    key = Path(option["--api-key-file"]).read_text().split()[0]
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {key}"})
    text = connection.getresponse().read().decode()
    connection.close()
    return sum(float(line.split()[1]) for line in text.splitlines()
               if line.startswith(("llamacpp:requests_processing", "llamacpp:requests_deferred")))


def test_a_starter_character_answers(owner):
    starters = [c for c in owner.get("/api/v1/characters")["items"] if c["starter"]]
    assert len(starters) == 3 and all(c["avatar"] for c in starters)
    conversation = owner.conversation(character_id=starters[0]["id"])
    greeting = owner.path_of(conversation)
    assert greeting and greeting[0]["role"] == "assistant" and greeting[0]["content"]
    brief(owner, conversation, 40)
    events = Events(owner)
    asked = owner.say(conversation, "Hello, who are you?")
    reply = asked["reply"]
    assert asked["message"]["content"] == "Hello, who are you?" and reply["status"] == "streaming"
    end = events.wait_end(reply)
    assert end["status"] == "complete" and end["content"].strip() and end["finish_reason"] in ("stop", "length")
    assert events.text_of(reply) == end["content"]
    assert len([d for d in events.of("message.delta") if d["message_id"] == reply["id"]]) >= 3, "it streams"
    assert end["completion_tokens"] > 0 and end["prompt_tokens"] > 0 and end["model"].startswith("local/")
    assert [m["id"] for m in owner.path_of(conversation)] == [greeting[0]["id"], asked["message"]["id"], reply["id"]]
    events.close()


def test_prompt_view_counts_exactly(owner, conversation):
    brief(owner, conversation)
    events = Events(owner)
    reply = owner.say(conversation, "What do you like?")["reply"]
    end = events.wait_end(reply)
    view = owner.get(f"/api/v1/messages/{reply['id']}/prompt")
    assert view["exact"] is True
    kinds = [part["kind"] for part in view["parts"]]
    assert "system" in kinds and "history" in kinds
    assert any(part["text"] == "What do you like?" for part in view["parts"] if part["kind"] == "history")
    included = sum(part["tokens"] for part in view["parts"] if part["included"])
    assert all(part["tokens"] > 0 for part in view["parts"] if part["text"])
    # what the engine says it read; the template's own tokens are in total_tokens, not in a part
    assert included <= view["total_tokens"] and abs(view["total_tokens"] - end["prompt_tokens"]) <= 8
    events.close()


def test_second_device_attaches_in_the_middle(owner, conversation):
    long_winded(owner, conversation)
    first = Events(owner)
    reply = owner.say(conversation, LONG)["reply"]
    first.wait_delta(reply, 10)
    phone = owner.again()
    second = Events(phone)
    state = phone.message(reply)
    assert state["status"] == "streaming" and state["stream_seq"] > 0
    second.wait_delta(reply, 10)
    owner.post(f"/api/v1/messages/{reply['id']}/stop")
    end = first.wait_end(reply)
    second.wait_end(reply)
    assert first.text_of(reply) == end["content"]
    assert second.text_of(reply, state["content"], state["stream_seq"]) == end["content"]
    first.close()
    second.close()


def test_reply_goes_on_when_everyone_left(owner, conversation):
    brief(owner, conversation, 60)
    events = Events(owner)
    reply = owner.say(conversation, LONG)["reply"]
    events.wait_delta(reply)
    last = events.seen[-1]["id"]
    events.close()
    back = Events(owner, last_event_id=last)
    end = owner.message(reply) if owner.message(reply)["status"] != "streaming" else back.wait_end(reply)
    assert end["status"] == "complete" and end["completion_tokens"] >= 10
    back.wait_end(reply)
    texts = [d["seq"] for d in back.of("message.delta") if d["message_id"] == reply["id"]]
    assert texts == list(range(texts[0], texts[0] + len(texts))), "resumed without a gap"
    back.close()


def test_stop_is_prompt_and_frees_the_slot(server, owner, conversation):
    events = Events(owner)
    seeds = itertools.count(7)

    def stop():
        fresh = owner.conversation(character_id=conversation["character"]["id"])
        long_winded(owner, fresh, next(seeds))
        reply = owner.say(fresh, LONG)["reply"]
        events.wait_delta(reply, 5)
        begin = time.monotonic()
        owner.post(f"/api/v1/messages/{reply['id']}/stop")
        end = events.wait(lambda e: e["event"] == "message.updated" and e["data"]["message"]["id"] == reply["id"]
                          and e["data"]["message"]["status"] != "streaming")
        if end["data"]["message"]["status"] == "complete":
            return math.inf  # a small model may have said all it has to say: no turn; when nothing is ever stopped, it fails
        assert end["data"]["message"]["status"] == "stopped"
        wait_until(lambda: busy_slots(server) == 0, what="the engine's slot to be free")
        kept = owner.message(reply)
        assert kept["status"] == "stopped" and kept["content"] == events.text_of(reply)
        return end["at"] - begin

    stop()
    assert quickest(stop, 0.2) <= 0.2
    events.close()


def test_regenerate_swipe_continue(owner, conversation):
    brief(owner, conversation, 16)
    events = Events(owner)
    first = events.wait_end(owner.say(conversation, "Count the stars.")["reply"])
    second = events.wait_end(owner.post(f"/api/v1/messages/{first['id']}/regenerate")["message"])
    assert second["parent_id"] == first["parent_id"] and second["id"] != first["id"]
    assert owner.message(second)["siblings"] == [first["id"], second["id"]]
    assert owner.path_of(conversation)[-1]["id"] == second["id"]
    owner.post(f"/api/v1/messages/{first['id']}/select")
    assert owner.path_of(conversation)[-1]["id"] == first["id"]
    more = owner.post(f"/api/v1/messages/{first['id']}/continue")["message"]
    assert more["id"] == first["id"]
    begin = len(events.seen)
    end = events.wait(lambda e: e["event"] == "message.updated" and e["data"]["message"]["id"] == first["id"]
                      and e["data"]["message"]["status"] == "complete"
                      and len(e["data"]["message"]["content"]) > len(first["content"]), start=0)["data"]["message"]
    assert begin >= 0 and end["content"].startswith(first["content"])
    events.close()


def test_restart_in_the_middle_keeps_what_came(server, owner, conversation):
    long_winded(owner, conversation)
    events = Events(owner)
    reply = owner.say(conversation, LONG)["reply"]
    events.wait_delta(reply, 10)
    wait_until(lambda: owner.message(reply)["stream_seq"] > 10, what="more text")
    server.stop()
    wait_until(lambda: events.closed, what="the stream to end")
    server.start()
    back = server.sign_in()
    kept = back.message(reply)
    assert kept["status"] == "interrupted" and kept["content"].startswith(events.text_of(reply)[:20])
    wait_until(lambda: back.get("/api/v1/engine")["state"] == "healthy", what="the engine")
    brief(back, conversation, 12)
    again = Events(back)
    back.post(f"/api/v1/messages/{reply['id']}/continue")
    end = again.wait(lambda e: e["event"] == "message.updated" and e["data"]["message"]["id"] == reply["id"]
                     and e["data"]["message"]["status"] == "complete")["data"]["message"]
    assert end["content"].startswith(kept["content"]) and len(end["content"]) > len(kept["content"])
    again.close()


def test_killed_engine_comes_back(server, owner, conversation):
    long_winded(owner, conversation)
    events = Events(owner)
    reply = owner.say(conversation, LONG)["reply"]
    events.wait_delta(reply, 5)
    pid = engine_pid(server)
    os.kill(pid, signal.SIGKILL)
    end = events.wait_end(reply)
    assert end["status"] in ("failed", "interrupted") and end["content"].startswith(events.text_of(reply)[:10])
    assert end["error"]["slug"] and len(end["error"]["detail"]) > 10, "told in words"
    events.wait(lambda e: e["event"] == "engine.state" and e["data"]["engine"]["state"] in ("backoff", "starting"))
    wait_until(lambda: owner.get("/api/v1/engine")["state"] == "healthy" and engine_pid(server) not in (None, pid),
               60, "the engine to come back")
    brief(owner, conversation, 12)
    assert events.wait_end(owner.say(conversation, "Are you back?")["reply"])["status"] == "complete"
    assert owner.get("/api/v1/engine")["restarts"] >= 1
    events.close()


def test_two_devices_stay_in_step(owner, conversation):
    brief(owner, conversation, 12)
    phone = owner.again()
    desk, hand = Events(owner), Events(phone)
    done = []

    def talk(client, name):
        for i in range(3):
            sent = client.say(conversation, f"{name} {i}", reply=False)["message"]
            done.append(sent["id"])

    both = [threading.Thread(target=talk, args=(owner, "desk")), threading.Thread(target=talk, args=(phone, "phone"))]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    last = owner.say(conversation, "Done?")["reply"]
    ends = [desk.wait_end(last), hand.wait_end(last)]
    assert ends[0] == ends[1]
    for events in (desk, hand):
        created = {d["message"]["id"] for d in events.of("message.created")}
        assert set(done) <= created and last["id"] in created
        assert events.text_of(last) == ends[0]["content"]
    assert owner.path_of(conversation) == phone.path_of(conversation)
    ids = [e["id"] for e in desk.seen if e["event"].startswith("message.")]
    assert ids == [e["id"] for e in hand.seen if e["event"].startswith("message.")]
    desk.close()
    hand.close()


def test_four_at_once_all_answer(owner, conversation):
    brief(owner, conversation, 16)
    events = Events(owner)
    replies = []
    for i in range(4):
        other = owner.conversation(character_id=conversation["character"]["id"], sampling={"max_tokens": 16, "seed": i})
        replies.append(owner.say(other, f"Question {i}?")["reply"])
    for reply in replies:
        end = events.wait_end(reply, timeout=120)
        assert end["status"] == "complete" and events.text_of(reply) == end["content"]
    events.close()
