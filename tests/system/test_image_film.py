"""Films by the local engine: an untrained network of the true layout of Wan 2.1 (tests/kit), a second each step.

Its sizes are built into the library; at 4 bits a number the engine needs 1 GB of memory here.
"""
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness import Events, wait_until

KIT = Path(__file__).resolve().parents[1] / "kit"
PROGRAM = harness.release_binary() or harness.binary()
ENGINE = Path(PROGRAM).parent.parent / "worker" / "atelier-image"
SIDE = 64
ENTRY = {"provider_kind": "local", "kind": "video", "description": "For tests.", "tasks": ["txt2vid"],
         "id": "local/film", "remote_id": "film", "name": "film", "cancel": True, "previews": True, "negative": True,
         "params": ["@sdcpp-flow", {"name": "frames", "type": "integer", "label": "Frames", "min": 1, "max": 81},
                    {"name": "fps", "type": "integer", "label": "Frames a second", "min": 1, "max": 60}],
         "width": SIDE, "height": SIDE, "size_multiple": 16, "size_min": SIDE, "size_max": 512, "safety": "unfiltered",
         "files": {"diffusion_model": {"file": "film.gguf"}, "taesd": {"file": "film-tae.safetensors"}}}
JOB = {"model": "local/film", "prompt": "a boat", "steps": 1, "seed": 1, "cfg_scale": 1, "frames": 5, "fps": 4}

pytestmark = pytest.mark.skipif(not ENGINE.exists(), reason="the picture engine was not built")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film")
    subprocess.run([sys.executable, str(KIT / "film_checkpoint.py"), str(folder)], check=True)
    return folder


def ended(owner, id_):
    return wait_until(lambda: (found := owner.get(f"/api/v1/jobs/{id_}"))["state"] in ("done", "failed", "cancelled") and found,
                      300, "the job's end")


def test_a_film(make_server, checkpoint):
    owner = make_server(program=PROGRAM, args=["--models-dir", str(checkpoint)]).start().setup()
    owner.post("/api/v1/picture-entries", ENTRY, status=201)
    listed = next(m for m in owner.get("/api/v1/picture-models")["items"] if m["id"] == "local/film")
    assert listed["ready"], listed
    events = Events(owner)

    refused = owner.request("POST", "/api/v1/jobs", JOB | {"fps": 61})
    assert refused.status_code == 400 and refused.json()["field"] == "fps", refused.text

    made = owner.post("/api/v1/jobs", JOB, status=202)["id"]
    done = ended(owner, made)
    assert done["state"] == "done" and len(done["assets"]) == 1, done
    film = done["assets"][0]
    assert (film["kind"], film["media_type"], film["width"], film["height"]) == ("video", "video/webm", SIDE, SIDE), film
    assert 1200 <= film["duration_ms"] <= 1300, film  # 5 frames, 4 a second
    file = owner.request("GET", f"/api/v1/assets/{film['id']}/file").content
    assert file[:4] == b"\x1a\x45\xdf\xa3", file[:16]
    poster = owner.request("GET", f"/api/v1/assets/{film['id']}/file?width=256")
    assert poster.status_code == 200 and poster.content[8:12] == b"WEBP", poster.content[:16]
    details = owner.get(f"/api/v1/assets/{film['id']}/details")
    assert details["params"]["prompt"] == "a boat" and details["params"]["seed"] == 1, details
    steps = [told["step"] for told in events.of("job.progress") if told["id"] == made and told["phase"] == "sampling"]
    assert steps and steps[-1] == 1, steps

    # cancelled after its first step, the engine goes on with the next
    long = owner.post("/api/v1/jobs", JOB | {"steps": 100}, status=202)["id"]
    told = events.wait(lambda e: e["event"] == "job.progress" and e["data"]["id"] == long and e["data"]["step"] >= 1,
                       what="its first step", timeout=120)
    assert told["data"]["left_ms"] > 0 and told["data"]["steps"] == 100, told
    owner.post(f"/api/v1/jobs/{long}/cancel")
    assert ended(owner, long)["state"] == "cancelled"
    again = ended(owner, owner.post("/api/v1/jobs", JOB, status=202)["id"])
    assert again["state"] == "done", again
    assert owner.request("GET", f"/api/v1/assets/{again['assets'][0]['id']}/file").content == file
    events.close()
