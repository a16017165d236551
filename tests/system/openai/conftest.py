"""A gateway for the official clients: ATELIER_URL, ATELIER_KEY and ATELIER_CHAT_MODEL when they are set, else a server
of the test's own with a scripted provider behind it."""
import os
from types import SimpleNamespace

import pytest


@pytest.fixture
def gateway(request, make_server):
    if os.environ.get("ATELIER_URL"):
        yield SimpleNamespace(url=os.environ["ATELIER_URL"].rstrip("/"), key=os.environ["ATELIER_KEY"], upstream=None,
                              owner=None, model=os.environ.get("ATELIER_CHAT_MODEL", "default"))
        return
    upstream = request.getfixturevalue("upstream")
    server = make_server(engine="fake").start()
    owner = server.setup()
    yield SimpleNamespace(url=server.base, key=owner.new_key("chat", "models").key, owner=owner, upstream=upstream,
                          model=upstream.connect(owner))


@pytest.fixture
def scripted(gateway):
    """The gateway, where the test needs to say what the provider does."""
    if not gateway.upstream:
        pytest.skip("needs the scripted provider")
    return gateway


@pytest.fixture
def pictures(make_server):
    """A server with the scripted picture service, for clients of /v1/images and /v1/videos."""
    server = make_server(engine="fake").start()
    owner = server.setup()
    fake = owner.post("/api/v1/providers", {"preset": "fake"}, status=201)["id"]
    owner.patch("/api/v1/settings", {"default_picture_model": f"{fake}/picture"})
    yield SimpleNamespace(url=server.base, key=owner.new_key("pictures").key, owner=owner, fake=fake)
