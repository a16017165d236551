"""The official Python client against /v1/images and /v1/videos."""
import base64
import concurrent.futures
import io
import json
import urllib.request

import openai
import pytest
from PIL import Image

from harness import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def client(pictures):
    with openai.OpenAI(base_url=pictures.url + "/v1", api_key=pictures.key, max_retries=0, timeout=120) as client:
        yield client


def opened(item):
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json)))


def file(name="in.png", size=(64, 64), mode="RGB", colour=(200, 30, 30)):
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return (name, out.getvalue(), "image/png")


def test_generates(pictures, client):
    answer = client.images.generate(model="gpt-image-1", prompt="a lighthouse", n=2, size="96x64", quality="high",
                                    background="opaque", moderation="low", output_format="png", user="someone")
    assert [opened(item).size for item in answer.data] == [(96, 64), (96, 64)] and answer.created > 0
    answer = client.images.generate(model=f"{pictures.fake}/picture", prompt="a lighthouse", response_format="url",
                                    style="vivid", extra_body={"seed": 5, "steps": 4})
    with urllib.request.urlopen(answer.data[0].url) as got:  # an address opens without a key
        assert Image.open(io.BytesIO(got.read())).size == (64, 64)


def test_streams_the_finished_picture(client):
    events = list(client.images.generate(model="picture", prompt="a lighthouse", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_generation.completed"] and opened(events[0]).size == (64, 64)


def test_streams_pictures_on_the_way(pictures, client):
    events = list(client.images.generate(model=f"{pictures.fake}/preview", prompt="a lighthouse", stream=True, partial_images=2,
                                         extra_body={"steps": 4}))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    assert all(opened(event).size for event in events) and events[2].usage.total_tokens == 0
    events = list(client.images.edit(model=f"{pictures.fake}/preview", prompt="a red door", image=file(), stream=True, partial_images=1,
                                     extra_body={"steps": 4}))
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    with pytest.raises(openai.APIError) as caught:
        list(client.images.generate(model=f"{pictures.fake}/fail", prompt="a lighthouse", stream=True))
    assert "as it was told to" in str(caught.value)


def test_a_stream_that_is_left_ends_alone(pictures, client):
    with client.images.generate(model=f"{pictures.fake}/preview", prompt="left", stream=True, partial_images=1,
                                extra_body={"steps": 6}) as events:
        assert next(iter(events)).type == "image_generation.partial_image"
    wait_until(lambda: [job for job in pictures.owner.get("/api/v1/jobs")["items"] if job["prompt"] == "left" and job["state"] == "done"],
               what="the job of a client that hung up")


def test_the_same_request_at_once_is_one_job(pictures, client):
    def ask(path, body):
        key = {"Authorization": f"Bearer {pictures.key}", "Content-Type": "application/json", "Idempotency-Key": f"at-once {path}".replace(" ", "-")}
        request = urllib.request.Request(pictures.url + path, json.dumps({"model": f"{pictures.fake}/slow", **body}).encode(), key)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())

    owner = pictures.owner
    owner.patch("/api/v1/settings", {"default_picture_model": f"{pictures.fake}/slow"})
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for path, body in (("/v1/images/generations", {"prompt": "at once"}), ("/sdapi/v1/txt2img", {"prompt": "at once too"})):
            answers = list(threads.map(lambda _: ask(path, body), range(4)))
            assert all(answer == answers[0] for answer in answers)
            assert len([job for job in owner.get("/api/v1/jobs")["items"] if job["prompt"] == body["prompt"]]) == 1
    # the official client sends a form with another boundary each time
    videos = [client.videos.create(model=f"{pictures.fake}/video", prompt="it moves", input_reference=file(),
                                   extra_headers={"Idempotency-Key": "film"}).id for _ in range(2)]
    assert videos[0] == videos[1]


def test_edits_with_a_mask_and_several_inputs(pictures, client):
    mask = file("mask.png", mode="RGBA", colour=(0, 0, 0, 0))
    answer = client.images.edit(model="picture", image=file(), mask=mask, prompt="a red door", size="64x64", n=1)
    assert opened(answer.data[0]).size == (64, 64)
    answer = client.images.edit(image=[file("a.png"), file("b.png"), file("c.png")], prompt="all of them in one")
    assert len(answer.data) == 1
    jobs = pictures.owner.get("/api/v1/jobs")["items"]
    assert [job["task"] for job in jobs] == ["img2img", "inpaint"]
    assert len(jobs[0]["request"]["reference_assets"]) == 2 and all(job["origin"] == "openai" for job in jobs)


def test_variations(client):
    answer = client.images.create_variation(image=file(), n=2, size="64x64", response_format="b64_json")
    assert len(answer.data) == 2 and opened(answer.data[1]).size == (64, 64)


def test_errors_have_their_types(pictures, client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="picture", prompt="x", size="big")
    assert caught.value.param == "size"
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.images.edit(model="picture", image=("in.png", b"no picture", "image/png"), prompt="x")
    assert caught.value.param == "image"
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(model="nobody has this", prompt="x")
    assert caught.value.code == "model_not_found" and caught.value.param == "model"
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(model=f"{pictures.fake}/fail", prompt="x")
    assert caught.value.status_code == 502 and "scripted service failed" in caught.value.message
    with pytest.raises(openai.PermissionDeniedError):
        client.images.generate(model="picture", prompt="atelier policy canary 7f3a")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=pictures.url + "/v1", api_key="no", max_retries=0).images.generate(prompt="x")


def test_makes_a_video(pictures, client):
    video = client.videos.create(model="sora-2", prompt="a wave", size="1280x720", seconds="4")
    assert video.object == "video" and video.status in ("queued", "in_progress", "completed") and video.prompt == "a wave"
    done = wait_until(lambda: (lambda v: v if v.status == "completed" else None)(client.videos.retrieve(video.id)),
                      what="the video")
    assert done.progress == 100 and done.completed_at >= done.created_at and done.seconds == "4"
    got = client.videos.download_content(video.id)
    assert got.read()[:4] == b"\x1a\x45\xdf\xa3" and got.response.headers["content-type"] == "video/webm"
    assert client.videos.download_content(video.id, variant="thumbnail").read()[8:12] == b"WEBP"
    from_picture = client.videos.create(prompt="it moves", input_reference=file())
    assert client.videos.poll(from_picture.id, poll_interval_ms=50).status == "completed"
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve("job_01AAAAAAAAAAAAAAAAAAAAAAAA")
