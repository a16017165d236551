"""The official Node client against /v1: runs client.test.mjs against the gateway."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import wait_until

HERE = Path(__file__).parent
# Where the npm packages are: script/setup's folder, or one the caller names.
PACKAGES = Path(os.environ.get("ATELIER_NODE_DIR", Path.home() / ".cache/atelier/node"))


def run(file, folder, **environment):
    node = shutil.which("node")
    if not node or not (PACKAGES / "node_modules/openai").is_dir():
        pytest.skip("node or its package openai is not installed (script/setup test)")
    shutil.copy(HERE / file, folder)
    (folder / "node_modules").symlink_to(PACKAGES / "node_modules")
    done = subprocess.run([node, "--test", "--test-reporter=tap", file], cwd=folder, env={**os.environ, **environment},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout and "# pass 0" not in done.stdout, done.stdout


def test_node_client(gateway, tmp_path):
    run("client.test.mjs", tmp_path, ATELIER_URL=gateway.url, ATELIER_KEY=gateway.key, ATELIER_CHAT_MODEL=gateway.model,
        ATELIER_SCRIPTED="1" if gateway.upstream else "")
    if gateway.upstream:
        wait_until(lambda: gateway.upstream.open_streams == 0, what="the end of the aborted stream at the provider")


def test_node_client_makes_pictures(pictures, tmp_path):
    run("pictures.test.mjs", tmp_path, ATELIER_URL=pictures.url, ATELIER_KEY=pictures.key, ATELIER_PROVIDER=pictures.fake)
