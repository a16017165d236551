"""Fixtures of the system tests: the program named by ATELIER_BIN, started on port 0 in an empty folder.

Environment: ATELIER_BIN (sanitized build), ATELIER_BIN_RELEASE (plain build, optional: speed and kill loops),
ATELIER_LLAMA_SERVER, ATELIER_MODEL (a GGUF), ATELIER_TEST_PG (URL of a PostgreSQL where databases may be made).
"""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import harness
from upstream import Upstream


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.failed_call = report.failed
        if report.failed:
            for server in getattr(item, "servers", []):
                report.sections.append((f"log of {server.folder.name}", server.log()[-6000:]))
    return report


@pytest.fixture
def make_server(request, tmp_path):
    """make_server(db="sqlite"|"postgres", engine="none"|"real"|"fake", ...): a server, not started. Each one that
    still runs at the end of the test is stopped, and must end cleanly."""
    servers = request.node.servers = []

    def make(db="sqlite", engine="none", args=(), **more):
        folder = tmp_path / f"server{len(servers)}"
        args = list(args)
        if engine == "real":
            args += harness.engine_arguments(folder / "data")
        else:
            args += ["--engine-enabled", "false"]
        if engine == "fake":
            args += ["--outbound-private", "127.0.0.1"]
        if db == "postgres":
            more["database"] = harness.new_postgres_database()
            if not more["database"]:
                pytest.skip("ATELIER_TEST_PG is not set")
        server = harness.Server(folder, args=args, **more)
        servers.append(server)
        return server

    yield make
    failed = getattr(request.node, "failed_call", True)
    for server in servers:
        if failed:
            server.abandon()
        else:
            server.stop()


@pytest.fixture
def server(request, make_server):
    """A started server; @pytest.mark.server(db=..., engine=..., args=...) says which."""
    mark = request.node.get_closest_marker("server")
    return make_server(**(mark.kwargs if mark else {})).start()


@pytest.fixture
def owner(server):
    return server.setup()


@pytest.fixture
def upstream():
    up = Upstream()
    yield up
    up.close()


def pytest_configure(config):
    config.addinivalue_line("markers", "server(db, engine, args): which server the fixture starts")
    if not os.environ.get("ATELIER_BIN"):
        raise pytest.UsageError("ATELIER_BIN is not set: script/test system sets it")
