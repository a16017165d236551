# lib.sh - what setup and retrain share: where things are, and how the training code is run. Sourced, never run.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../script/lib.sh"

MINI=$ROOT/models/mini
MINI_WORK=${MINI_WORK:-$DEPS/mini-work}
DATA=$MINI_WORK/data
PACKAGES=$MINI_WORK/packages/node_modules
mkdir -p "$DATA"

# The training code's Python, from its folder.
mini() { (cd "$MINI" && "$DEPS/mini/bin/python" "$@"); }
