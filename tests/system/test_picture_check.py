"""The picture check and /v1/moderations with the true classifier in the running server, asked by OpenAI's own client."""
import base64
import io
import math
import os

import openai
import pytest
from PIL import Image

from harness import wait_until

FOLDER = os.environ.get("ATELIER_CLASSIFIER_DIR")
pytestmark = pytest.mark.skipif(not FOLDER, reason="there is no classifier for this processor")


def picture(kind):
    """A disc of one colour on a wall scores about a fifth; a checkerboard next to nothing."""
    image = Image.new("RGB", (256, 256))
    for y in range(256):
        for x in range(256):
            if kind == "disc":
                inside = (x - 128) ** 2 + (y - 128) ** 2 < 8100
                image.putpixel((x, y), (224 - y // 8, 172 - y // 8, 150 - y // 8) if inside else (90, 120, 150))
            else:
                image.putpixel((x, y), (220, 230, 240) if (x // 16 + y // 16) % 2 else (20, 30, 40))
    data = io.BytesIO()
    image.save(data, "PNG")
    return data.getvalue()


@pytest.fixture
def server(make_server):
    worker = os.path.join(os.path.dirname(os.environ["ATELIER_BIN"]), "..", "worker", "atelier-classify")
    return make_server(args=["--classifier-dir", FOLDER, "--classifier-program", os.path.abspath(worker)]).start()


def upload(owner, data):
    return owner.request("POST", "/api/v1/assets", data=io.BytesIO(data), headers={"Content-Type": "image/png"})


def test_what_follows_from_a_score(server):
    owner = server.setup()
    settings = owner.get("/api/v1/settings")
    assert settings["picture_check"] == "blur" and settings["picture_classifier"]
    assert upload(owner, picture("disc")).json()["check"] == "clear"
    owner.patch("/api/v1/settings", {"picture_check": "refuse", "picture_check_threshold": 15})
    refused = upload(owner, picture("disc"))
    assert refused.status_code == 403, refused.text
    assert upload(owner, picture("board")).json()["check"] == "clear"
    owner.patch("/api/v1/settings", {"picture_check": "hold"})
    held = upload(owner, picture("disc")).json()
    assert held["check"] == "held"
    assert owner.request("GET", f"/api/v1/assets/{held['id']}/file").status_code == 403
    queue = owner.get("/api/v1/moderation/pictures")["items"]
    assert [one["id"] for one in queue] == [held["id"]] and 15 <= queue[0]["score"] <= 30
    owner.post(f"/api/v1/moderation/pictures/{held['id']}", {"decision": "release"}, status=204)
    assert owner.request("GET", f"/api/v1/assets/{held['id']}/file").status_code == 200
    assert not any("atelier-classify failed" in line for line in server.log().splitlines())


def test_the_official_client(server):
    owner = server.setup()
    key = owner.new_key("chat").key
    url = "data:image/png;base64," + base64.b64encode(picture("disc")).decode()
    with openai.OpenAI(base_url=f"{server.base}/v1", api_key=key, max_retries=0, timeout=120) as client:
        answer = client.moderations.create(input="a walk by the sea")
        assert not answer.results[0].flagged and answer.id and answer.model
        answer = client.moderations.create(model="omni-moderation-latest", input=["a house", "atelier policy canary 7f3a"])
        assert [one.flagged for one in answer.results] == [False, True]
        assert answer.results[1].categories.sexual_minors and answer.results[1].category_scores.sexual_minors == 1
        answer = client.moderations.create(model="omni-moderation-latest",
                                           input=[{"type": "text", "text": "a disc"}, {"type": "image_url", "image_url": {"url": url}}])
        assert len(answer.results) == 1 and not answer.results[0].flagged
        assert math.isclose(answer.results[0].category_scores.sexual, 0.21, abs_tol=0.03)
        assert answer.results[0].category_applied_input_types.sexual == ["text", "image"]
        owner.patch("/api/v1/settings", {"picture_check_threshold": 15})
        answer = client.moderations.create(input=[{"type": "image_url", "image_url": {"url": url}}])
        assert answer.results[0].flagged and answer.results[0].categories.sexual
        with pytest.raises(openai.BadRequestError):
            client.moderations.create(input=[{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}])


def test_a_folder_without_weights_refuses(make_server, tmp_path):
    """Named but useless: pictures are refused, not waved through."""
    (tmp_path / "empty").mkdir()
    worker = os.path.join(os.path.dirname(os.environ["ATELIER_BIN"]), "..", "worker", "atelier-classify")
    server = make_server(args=["--classifier-dir", str(tmp_path / "empty"), "--classifier-program", os.path.abspath(worker)]).start()
    owner = server.setup()
    assert upload(owner, picture("board")).status_code == 503
    wait_until(lambda: "atelier-classify failed" in server.log(), what="the log's line")
