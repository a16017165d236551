"""The official Python client against /v1."""
import openai
import pytest

from harness import wait_until


@pytest.fixture
def client(gateway):
    with openai.OpenAI(base_url=gateway.url + "/v1", api_key=gateway.key, max_retries=0, timeout=120) as client:
        yield client


def say(text):
    return [{"role": "user", "content": text}]


def test_answers_whole_with_usage(gateway, client):
    answer = client.chat.completions.create(model=gateway.model, messages=say("words=3 | hello"), max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0


def test_streams_and_tells_usage_only_when_asked(gateway, client):
    chunks = list(client.chat.completions.create(model=gateway.model, messages=say("words=4 | hello"), max_tokens=8,
                                                 stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert all(c.choices for c in chunks) and all(c.usage is None for c in chunks)
    chunks = list(client.chat.completions.create(model=gateway.model, messages=say("words=4 | hello"), max_tokens=8,
                                                 stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0


def test_lists_models_and_finds_one_whose_id_has_slashes(gateway, client):
    ids = [model.id for model in client.models.list()]
    assert "default" in ids
    if gateway.owner:
        assert gateway.model in ids
        assert client.models.retrieve(gateway.model).id == gateway.model
        assert client.models.retrieve("echo").id == "echo"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("prv_none/of/this")
    assert caught.value.code == "model_not_found"


def test_default_and_bare_names_find_the_model(scripted, client):
    for name in ("default", "echo"):
        client.chat.completions.create(model=name, messages=say("words=1 |"))
        assert scripted.upstream.requests[-1]["body"]["model"] == "echo"


def test_passes_everything_else_untouched(scripted, client):
    tools = [{"type": "function", "function": {"name": "draw", "parameters": {"type": "object", "properties": {}}}}]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    client.chat.completions.create(model=scripted.model, tools=tools, tool_choice="auto", n=1, seed=5, stop=["END"],
                                   logprobs=True, top_logprobs=2, response_format={"type": "json_object"},
                                   messages=[{"role": "user", "content": [{"type": "text", "text": "what?"}, picture]}])
    body = scripted.upstream.requests[-1]["body"]
    assert body["tools"] == tools and body["tool_choice"] == "auto" and body["seed"] == 5 and body["stop"] == ["END"]
    assert body["logprobs"] is True and body["response_format"] == {"type": "json_object"}
    assert body["messages"][0]["content"][1] == picture


@pytest.mark.parametrize("status, kind, code", [
    (400, openai.BadRequestError, "invalid_request"),
    (404, openai.NotFoundError, "model_not_found"),
    (429, openai.RateLimitError, "upstream_rate_limited"),
    (500, openai.InternalServerError, "upstream_failed"),
    (401, openai.InternalServerError, "upstream_key_refused"),
])
def test_errors_of_the_provider_have_their_class(scripted, client, status, kind, code):
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=scripted.model, messages=say(f"status={status} |"), stream=True)
    assert caught.value.code == code
    assert "sk-scripted" not in str(caught.value)
    if status == 429:
        assert caught.value.response.headers["retry-after"] == "7"


def test_wrong_keys_and_unknown_models_have_their_class(gateway, client):
    with pytest.raises(openai.AuthenticationError) as caught:
        client.with_options(api_key="atl_wrong").models.list()
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=say("hello"))
    with pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model=gateway.model, messages=say("atelier policy canary 7f3a"))
    assert caught.value.code == "refused_by_policy"


def test_a_cut_stream_raises(scripted, client):
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=scripted.model, messages=say("words=9 cut=3 |"), stream=True):
            seen.append(chunk)
    assert seen and caught.value.code == "upstream_cut"


def test_closing_a_stream_stops_the_provider(scripted, client):
    stream = client.chat.completions.create(model=scripted.model, messages=say("words=5000 delay=0.02 |"), stream=True)
    next(iter(stream))
    assert scripted.upstream.open_streams == 1
    stream.close()
    wait_until(lambda: scripted.upstream.open_streams == 0, what="the provider's end of the stream")


def test_characters_answer_as_models(scripted, client):
    made = scripted.owner.post("/api/v1/characters", {"name": "Captain Mira", "card": {
        "name": "Captain Mira", "description": "A captain who counts waves.", "system_prompt": "You are {{char}}."}})
    assert "atelier/captain-mira" in [model.id for model in client.models.list()]
    for name in ("atelier/captain-mira", "atelier/" + made["id"]):
        chunks = list(client.chat.completions.create(model=name, messages=say("words=2 | Ahoy"), stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks)
        messages = scripted.upstream.requests[-1]["body"]["messages"]
        assert messages[0]["role"] == "system" and "You are Captain Mira." in messages[0]["content"]
        assert "counts waves" in messages[0]["content"]
        assert messages[-1] == {"role": "user", "content": "words=2 | Ahoy"}
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="atelier/nobody", messages=say("hello"))
