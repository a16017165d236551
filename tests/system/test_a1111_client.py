"""The public client `webuiapi` of AUTOMATIC1111's API against /sdapi/v1."""
import io
import threading

import pytest
import requests
import webuiapi
from PIL import Image

from harness import wait_until


@pytest.fixture
def studio(make_server):
    server = make_server(engine="fake").start()
    owner = server.setup()
    owner.fake = owner.post("/api/v1/providers", {"preset": "fake"}, status=201)["id"]
    owner.patch("/api/v1/settings", {"default_picture_model": f"{owner.fake}/picture"})
    return owner


@pytest.fixture
def client(studio):
    made = webuiapi.WebUIApi(baseurl=studio.server.base + "/sdapi/v1", username="any", password=studio.new_key("pictures").key)
    made.session.trust_env = False
    return made


def red(width=64, height=64):
    return Image.new("RGB", (width, height), (200, 30, 30))


def test_txt2img_with_everything_the_client_sends(client):
    result = client.txt2img(prompt="a lighthouse", negative_prompt="fog", seed=7, steps=5, cfg_scale=6.5, width=96, height=64,
                            batch_size=2, sampler_name="DPM++ 2M Karras", restore_faces=True, enable_hr=True)
    assert [picture.size for picture in result.images] == [(96, 64), (96, 64)]
    assert result.info["all_seeds"] == [7, 8] and result.info["seed"] == 7
    assert result.info["steps"] == 5 and result.info["cfg_scale"] == 6.5
    assert any("restore_faces" in note for note in result.info["notes"])
    assert any("enable_hr" in note for note in result.info["notes"])
    # what made it is in the file, in this tool's own words
    assert "a lighthouse" in result.image.info["parameters"] and "Seed: 7" in result.image.info["parameters"]


def test_img2img_inpaint_and_upscale(client):
    result = client.img2img(images=[red()], prompt="a red door", denoising_strength=0.5, seed=3, width=64, height=64)
    assert result.image.size == (64, 64) and result.info["seed"] == 3
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (16, 16, 48, 48))
    result = client.img2img(images=[red()], mask_image=mask, prompt="a window", denoising_strength=0.8, width=64, height=64)
    assert len(result.images) == 1
    assert client.extra_single_image(red(), upscaling_resize=2).image.size


def test_png_info_reads_what_was_written(client):
    made = client.txt2img(prompt="a heron at dawn", seed=11, steps=4, width=64, height=64)
    told = client.png_info(made.image)
    assert "a heron at dawn" in told.info and "Seed: 11" in told.info
    assert client.png_info(red()).info == ""


def test_lists_options_and_models(client, studio):
    titles = client.util_get_model_names()
    assert any(title.endswith(f"[{studio.fake}/picture]") for title in titles)
    client.set_options({"sd_model_checkpoint": f"{studio.fake}/slow"})
    assert client.util_get_current_model().endswith(f"[{studio.fake}/slow]")
    client.util_set_model("scripted: a gradient")  # by its closest name
    assert client.util_get_current_model().endswith(f"[{studio.fake}/picture]")
    assert "Euler a" in client.util_get_sampler_names() and "karras" in client.util_get_scheduler_names()
    assert any(style["name"].lower() == "anime" for style in client.get_prompt_styles())
    assert isinstance(client.get_loras(), list) and isinstance(client.get_upscalers(), list)
    assert client.get_embeddings()["loaded"] == {} and "ram" in client.get_memory()
    assert client.get_sd_vae() == [] and client.get_hypernetworks() == [] and client.get_face_restorers() == []
    assert client.get_realesrgan_models() == [] and client.get_latent_upscale_modes() == []
    assert client.get_cmd_flags() == {} and client.get_scripts() == {"txt2img": [], "img2img": []}
    client.refresh_checkpoints()
    client.util_wait_for_ready(check_interval=0.05)


def test_progress_and_interrupt(client, studio):
    client.set_options({"sd_model_checkpoint": f"{studio.fake}/slow"})
    other = webuiapi.WebUIApi(baseurl=client.baseurl, username="any", password=client.session.auth[1])
    results = []
    thread = threading.Thread(target=lambda: results.append(client.txt2img(prompt="slowly", steps=150, width=64, height=64)))
    thread.start()
    progress = wait_until(lambda: (lambda now: now if now["state"]["sampling_step"] > 0 else None)(other.get_progress()),
                          what="progress")
    assert 0 < progress["progress"] < 1 and progress["state"]["job_count"] == 1
    assert progress["state"]["sampling_steps"] == 150
    other.interrupt()
    thread.join()
    # as the original: an interrupted run answers with what there is
    assert results and results[0].images == []
    wait_until(lambda: other.get_progress()["state"]["job_count"] == 0, what="the end")


def test_errors_are_told(client, studio):
    with pytest.raises(RuntimeError) as caught:
        client.txt2img(prompt="x", steps=4, width=64, height=64, override_settings={"sd_model_checkpoint": "no such model"})
    assert "no such model" in str(caught.value)
    client.set_options({"sd_model_checkpoint": f"{studio.fake}/fail"})
    with pytest.raises(RuntimeError) as caught:
        client.txt2img(prompt="x", steps=4, width=64, height=64)
    assert "scripted service failed" in str(caught.value)
    assert requests.post(client.baseurl + "/txt2img", json={"prompt": "x"}).status_code == 401


def test_pictures_are_in_the_library(client, studio):
    result = client.txt2img(prompt="kept", steps=4, width=64, height=64)
    asset = studio.get(f"/api/v1/assets/{result.info['asset_ids'][0]}")
    assert asset["prompt"] == "kept" and asset["origin"] == "generated"
    data = studio.request("GET", f"/api/v1/assets/{asset['id']}/file").content
    assert Image.open(io.BytesIO(data)).size == (64, 64)
