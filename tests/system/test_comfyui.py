"""A ComfyUI server as a provider of the real binary: from the page's API to the library. The server is the double."""
import json
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from harness import Events, wait_until
from test_second_identity import png

pytestmark = pytest.mark.server(engine="fake")  # loopback is allowed
OWN = {"1": {"class_type": "LoadImage", "inputs": {"image": "{{photo}}"}},
       "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
       "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "own"}}}


@pytest.fixture
def comfy():
    with subprocess.Popen([sys.executable, str(Path(__file__).with_name("comfyui_double.py"))], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture
def provider(owner, comfy):
    made = owner.post("/api/v1/providers", {"preset": "comfyui", "name": "Studio", "base_url": comfy}, status=201)
    owner.post(f"/api/v1/providers/{made['id']}/refresh")
    return made


def ended(owner, job):
    return wait_until(lambda: next((j for j in [owner.get(f"/api/v1/jobs/{job['id']}")] if j["state"] in ("done", "failed", "cancelled")), None),
                      60, "the job to end")


def test_a_picture_from_a_checkpoint(owner, comfy, provider):
    models = {m["remote_id"] if "remote_id" in m else m["id"].split("/", 1)[1]: m for m in owner.get("/api/v1/picture-models")["items"]
              if m["provider_id"] == provider["id"]}
    model = models["sd/base-v1.5.safetensors"]
    events = Events(owner)
    job = owner.post("/api/v1/jobs", {"model": model["id"], "prompt": "a lighthouse", "steps": 3, "count": 2, "seed": 5}, status=202)
    end = ended(owner, job)
    assert end["state"] == "done", end
    assert len(end["assets"]) == 2
    assert events.of("job.preview")
    asked = requests.get(comfy + "/double", timeout=120).json()["prompts"][0]
    assert asked["positive"]["inputs"]["text"] == "a lighthouse"
    assert asked["sampler"]["inputs"]["seed"] == 5
    assert asked["checkpoint"]["inputs"]["ckpt_name"] == "sd/base-v1.5.safetensors"
    events.close()


def test_stopping_stops_the_server(owner, comfy, provider):
    job = owner.post("/api/v1/jobs", {"model": provider["id"] + "/sd/base-v1.5.safetensors", "prompt": "wait"}, status=202)
    wait_until(lambda: owner.get(f"/api/v1/jobs/{job['id']}")["state"] == "running", what="the job to run")
    wait_until(lambda: requests.get(comfy + "/queue", timeout=120).json()["queue_running"], what="the server to work")
    owner.post(f"/api/v1/jobs/{job['id']}/cancel")
    assert ended(owner, job)["state"] == "cancelled"
    wait_until(lambda: not requests.get(comfy + "/queue", timeout=120).json()["queue_running"], what="the server to stop")


def test_a_workflow_of_ones_own(owner, comfy, provider):
    saved = owner.post("/api/v1/workflows", {"name": "Negative", "graph": OWN}, status=201)
    assert [(i["name"], i["type"], i["required"]) for i in saved["inputs"]["items"]] == [("photo", "image", True)]
    asset = owner.request("POST", "/api/v1/assets?library=false", data=png(32, 32), headers={"Content-Type": "image/png"}).json()
    job = owner.post("/api/v1/jobs", {"task": "workflow", "model": provider["id"] + "/workflow", "workflow_id": saved["id"],
                                      "reference_assets": [asset["id"]], "inputs": {"photo": {"reference": 0}}}, status=202)
    end = ended(owner, job)
    assert end["state"] == "done", end
    asked = requests.get(comfy + "/double", timeout=120).json()
    assert asked["prompts"][0]["1"]["inputs"]["image"] == asked["uploads"][0]["name"]


def test_what_is_missing_is_named(owner, provider):
    graph = json.loads(json.dumps(OWN).replace("ImageInvert", "MagicNode"))
    saved = owner.post("/api/v1/workflows", {"name": "Broken", "graph": graph}, status=201)
    asset = owner.request("POST", "/api/v1/assets?library=false", data=png(8, 8), headers={"Content-Type": "image/png"}).json()
    answer = owner.request("POST", "/api/v1/jobs", {"task": "workflow", "model": provider["id"] + "/workflow", "workflow_id": saved["id"],
                                                    "reference_assets": [asset["id"]], "inputs": {"photo": {"reference": 0}}})
    detail = answer.json()["detail"] if answer.status_code != 202 else ended(owner, answer.json())["error_detail"]
    assert "MagicNode" in detail


def test_what_a_workflow_fixes_and_allows(owner, comfy, provider):
    graph = {"1": {"class_type": "LoadImage", "inputs": {"image": "{{photo}}"}},
             "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "width": 64, "height": 48,
                                                          "crop": "disabled"}, "_meta": {"title": "atelier:side=width, tall=height"}},
             "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "own"}}}
    said = [{"name": "side", "label": "How wide", "minimum": 32, "maximum": 128}, {"name": "tall", "fixed": True}]
    saved = owner.post("/api/v1/workflows", {"name": "Plain", "graph": graph, "inputs": {"items": said}}, status=201)
    found = {i["name"]: (i["label"], i["fixed"]) for i in saved["inputs"]["items"]}
    assert found == {"photo": ("photo", False), "side": ("How wide", False), "tall": ("tall", True)}
    asset = owner.request("POST", "/api/v1/assets?library=false", data=png(32, 32), headers={"Content-Type": "image/png"}).json()
    photo = {"photo": {"reference": 0}}
    ask = {"task": "workflow", "model": provider["id"] + "/workflow", "workflow_id": saved["id"], "reference_assets": [asset["id"]]}
    for name, value in (("side", 256), ("tall", 7)):
        answer = owner.request("POST", "/api/v1/jobs", ask | {"inputs": photo | {name: value}})
        assert answer.status_code == 400 and answer.json()["field"] == f"inputs.{name}", answer.text
    end = ended(owner, owner.post("/api/v1/jobs", ask | {"inputs": photo | {"side": 96}}, status=202))
    assert end["state"] == "done", end
    asked = requests.get(comfy + "/double", timeout=120).json()["prompts"][0]["2"]["inputs"]
    assert (asked["width"], asked["height"]) == (96, 48)


def test_the_server_is_asked_before_anything_runs(owner, comfy, provider):
    graph = json.loads(json.dumps(OWN).replace("ImageInvert", "MagicNode"))
    ask = {"provider_id": provider["id"]}
    broken = owner.post("/api/v1/workflows", {"name": "Broken", "graph": graph}, status=201)
    answer = owner.post(f"/api/v1/workflows/{broken['id']}/check", ask)
    assert not answer["ready"] and "MagicNode" in answer["detail"], answer
    good = owner.post("/api/v1/workflows", {"name": "Good", "graph": OWN}, status=201)
    assert owner.post(f"/api/v1/workflows/{good['id']}/check", ask) == {"ready": True, "detail": None}
    for workflow in owner.get("/api/v1/workflows")["items"]:
        if workflow["builtin"]:
            answer = owner.post(f"/api/v1/workflows/{workflow['id']}/check", ask)
            assert answer["ready"] or "Studio" in answer["detail"], (workflow["name"], answer)
    assert owner.post("/api/v1/workflows/builtin:txt2img/check", ask)["ready"]
    assert not requests.get(comfy + "/double", timeout=120).json()["prompts"]
