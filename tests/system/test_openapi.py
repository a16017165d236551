"""schemathesis against the server's own document: no 5xx, every response as declared.

A key with every scope, on a server with a character, a conversation, a message and so on, whose ids are mixed into the
path parameters so that operations get past their 404. Seeded: the same requests every time.
"""
import os

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (content_type_conformance, response_schema_conformance,
                                               status_code_conformance)

import harness
from harness import Client
from test_second_identity import make_ids
from upstream import Upstream

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "12"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

# (method, path): why it is left out
LEFT_OUT = {
    ("GET", "/api/v1/events"): "streams for ever",
    ("GET", "/api/v1/ws"): "a WebSocket",
    ("POST", "/api/v1/engine/start"): "stops or restarts the engine",
    ("POST", "/api/v1/engine/stop"): "stops or restarts the engine",
    ("POST", "/api/v1/engine/restart"): "stops or restarts the engine",
    ("PATCH", "/api/v1/engine"): "stops or restarts the engine",
    ("POST", "/api/v1/me/password"): "hashes with Argon2id each time",
    ("POST", "/api/v1/session"): "hashes with Argon2id each time, and is throttled",
    ("DELETE", "/api/v1/session"): "the key has no session to end",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    server = harness.Server(tmp_path_factory.mktemp("openapi"), args=[
        "--engine-enabled", "false", "--outbound-private", "127.0.0.1"]).start()
    owner = server.setup()
    server.key = owner.new_key("admin", "chat", "characters", "models").key
    server.owner = Client(server, server.key)  # it stays, whatever happens to sessions
    upstream = Upstream()
    server.model = upstream.connect(owner)
    server.document = Client(server).get("/api/openapi.json")
    yield server
    upstream.close()
    server.stop()


def test_the_document_is_openapi_3_1(site):
    assert site.document["openapi"].startswith("3.1.")
    ids = [op["operationId"] for item in site.document["paths"].values() for op in item.values()
           if isinstance(op, dict) and "operationId" in op]
    assert len(ids) == len(set(ids))
    page = Client(site).request("GET", "/api/docs")
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    known = {(m.upper(), p) for p, item in site.document["paths"].items() for m in item}
    stale = [op for op in LEFT_OUT if op not in known and op[1] not in ("/api/v1/ws",)]
    assert not stale, f"LEFT_OUT names operations that are gone: {stale}"


def operations(document):
    for path, item in document["paths"].items():
        for method in item:
            if method in ("get", "post", "put", "patch", "delete") and (method.upper(), path) not in LEFT_OUT:
                yield method.upper(), path


def test_every_operation_answers_as_declared(site):
    """One test, so that the server is started once; every operation's faults are collected and shown together."""
    schema = schemathesis.openapi.from_dict(site.document)
    ids = fresh_ids(site)
    faults, asked = {}, 0
    for method, path in operations(site.document):
        prefix = path.partition("/{")[0]
        if prefix in ids:  # an earlier operation may have deleted it
            ids = fresh_ids(site) if method == "DELETE" or gone(site, prefix, ids[prefix]) else ids
        site.owner.patch("/api/v1/settings", {"default_model": site.model})
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            count, problem = exercise(site, schema[path][method], mode, ids.get(prefix))
            asked += count
            if problem:
                faults[f"{method} {path} ({mode.value} data)"] = problem
    assert not faults, "\n\n".join(f"{name}: {text}" for name, text in faults.items())
    assert asked > 300
    assert site.owner.get("/api/v1/status")["signed_in"]


def fresh_ids(site):
    if not site.owner.get("/api/v1/sessions")["items"]:
        site.sign_in(site.owner.get("/api/v1/me")["name"])
    return make_ids(site.owner)


def gone(site, prefix, id_):
    listing = prefix in ("/api/v1/keys", "/api/v1/sessions", "/api/v1/folders")
    return not listing and site.owner.request("GET", f"{prefix}/{id_}").status_code != 200


def checks_for(path, answer):
    """What a picture service could not do is an answer, not a fault of ours; a guest's page says its errors in HTML."""
    checks = list(CHECKS)
    if answer.status_code in (501, 502, 503, 504):
        body = answer.json()
        slug = body.get("slug") or body["error"]["code"]
        if slug in ("no_model", "unsupported") or slug.startswith("upstream_"):
            checks.remove(not_a_server_error)
    if path.startswith("/s/"):
        checks.remove(content_type_conformance)
    return checks


def exercise(site, operation, mode, real_id):
    count = 0

    @hypothesis.seed(20260101)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=False,
              phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
              print_blob=False)
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case):
        nonlocal count
        if real_id and case.path_parameters and "id" in case.path_parameters and count % 3 != 2:
            case.path_parameters["id"] = real_id
        count += 1
        answer = case.call(base_url=site.base, headers={"Authorization": f"Bearer {site.key}"}, timeout=120)
        case.validate_response(answer, checks=checks_for(operation.path, answer))

    try:
        run()
    except hypothesis.errors.Unsatisfiable:
        pass  # nothing about this operation can be wrong
    except (BaseExceptionGroup, Exception) as problem:
        return count, str(problem)[:2500]
    return count, None
