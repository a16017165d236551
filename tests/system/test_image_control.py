"""ControlNet by the local engine: untrained networks of the true sizes of Stable Diffusion 1 (tests/kit).

The library has this family's sizes built in, so the engine needs 3 GB of memory here, most of it zeros.
"""
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import harness
from harness import wait_until

KIT = Path(__file__).resolve().parents[1] / "kit"
PROGRAM = harness.release_binary() or harness.binary()
ENGINE = Path(PROGRAM).parent.parent / "worker" / "atelier-image"
SIDE = 64
ENTRY = {"provider_kind": "local", "kind": "picture", "description": "For tests.", "tasks": ["txt2img"],
         "params": ["@sdcpp", {"name": "control_strength", "type": "number", "label": "Control strength", "min": 0, "max": 2}],
         "width": SIDE, "height": SIDE, "size_multiple": 64, "size_min": SIDE, "size_max": 512, "safety": "unfiltered"}
JOB = {"prompt": "a boat", "width": SIDE, "height": SIDE, "steps": 1, "seed": 1, "cfg_scale": 1}

pytestmark = pytest.mark.skipif(not ENGINE.exists(), reason="the picture engine was not built")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control")
    subprocess.run([sys.executable, str(KIT / "control_checkpoint.py"), str(folder)], check=True)
    return folder


def add(owner, name, control=None):
    files = {"model": {"file": "sd1.safetensors"}, "taesd": {"file": "sd1-taesd.safetensors"}}
    if control:
        files["control_net"] = {"file": control}
    owner.post("/api/v1/picture-entries", ENTRY | {"id": f"local/{name}", "remote_id": name, "name": name, "files": files},
               status=201)


def upload(owner, picture):
    data = io.BytesIO()
    picture.save(data, "PNG")
    return owner.request("POST", "/api/v1/assets?library=false", data=data.getvalue(),
                         headers={"Content-Type": "image/png"}).json()["id"]


def make(owner, **asked):
    id_ = owner.post("/api/v1/jobs", JOB | asked, status=202)["id"]
    done = wait_until(lambda: (found := owner.get(f"/api/v1/jobs/{id_}"))["state"] in ("done", "failed") and found, 300,
                      "the job's end")
    assert done["state"] == "done", done
    return harness.pixels(owner.request("GET", f"/api/v1/assets/{done['assets'][0]['id']}/file").content)


def test_controlnet(make_server, checkpoint):
    owner = make_server(program=PROGRAM, args=["--models-dir", str(checkpoint)]).start().setup()
    add(owner, "plain")
    add(owner, "controlled", "sd1-control.safetensors")
    add(owner, "mixed-up", "sd2-control.safetensors")
    stripes = upload(owner, Image.linear_gradient("L").resize((SIDE, SIDE)).point(lambda v: 255 * (v // 32 % 2)))
    corner = Image.new("L", (SIDE, SIDE))
    corner.paste(255, (0, 0, SIDE // 2, SIDE // 2))
    corner = upload(owner, corner)

    # what does not fit is refused in words, before the engine has seen it
    models = {m["id"]: m for m in owner.get("/api/v1/picture-models")["items"]}
    assert models["local/controlled"]["ready"], models["local/controlled"]
    assert not models["local/mixed-up"]["ready"]
    assert models["local/mixed-up"]["why"] == ("sd2-control.safetensors is a ControlNet for Stable Diffusion 2, "
                                               "and the model is of Stable Diffusion 1.")
    refused = owner.request("POST", "/api/v1/jobs", JOB | {"model": "local/mixed-up", "control_asset": stripes})
    assert refused.status_code in (409, 422, 503) and "sd2-control" in refused.json()["detail"], refused.text
    refused = owner.request("POST", "/api/v1/jobs", JOB | {"model": "local/controlled"})
    assert refused.status_code == 400 and refused.json()["field"] == "control_asset", refused.text
    refused = owner.request("POST", "/api/v1/jobs", JOB | {"model": "local/plain", "control_asset": stripes})
    assert refused.status_code == 400 and refused.json()["field"] == "control_asset", refused.text

    controlled = {"model": "local/controlled", "control_asset": stripes}
    striped = make(owner, **controlled, control_strength=0.9)
    assert striped != make(owner, **controlled | {"control_asset": corner}, control_strength=0.9)
    none = make(owner, **controlled, control_strength=0)
    assert none != striped
    assert none == make(owner, **controlled | {"control_asset": corner}, control_strength=0)
