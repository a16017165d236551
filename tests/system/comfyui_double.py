"""A double of a ComfyUI server: routes, events and errors in the shapes the real one has (docs/provider.md), no models.

Run it: `python3 comfyui_double.py` prints its port on the first line and serves until its input ends.
A node's class decides what it checks; "execution" follows the graph, counts the steps of samplers and writes small
pictures. The prompt's text is the script: `fail` and `oom` end with an error in the sampler, `wait` runs until it is
interrupted, `drop` closes the socket in the middle, `forget` loses the job as a restart would, `preview4` sends
previews with metadata, `foreign` mixes in another user's events.
Threads: one per connection, one that executes. GET /double answers what was asked so far.
"""
import base64
import hashlib
import json
import os
import queue
import struct
import sys
import threading
import urllib.parse
import uuid
import zlib
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHECKPOINTS = ["sd/base-v1.5.safetensors", "sdxl_refiner_1.0.safetensors", "svd.safetensors"]
SAMPLERS = ["euler", "euler_ancestral", "dpmpp_2m", "uni_pc"]
SCHEDULERS = ["normal", "karras", "simple", "sgm_uniform"]
COND, LATENT, IMAGE, MODEL, CLIP, VAE, MASK = (["CONDITIONING"], ["LATENT"], ["IMAGE"], ["MODEL"], ["CLIP"], ["VAE"], ["MASK"])
NUMBER, TEXT = ["INT", {"default": 0}], ["STRING", {"multiline": True}]
SAMPLING = {"model": MODEL, "steps": NUMBER, "cfg": ["FLOAT", {}], "sampler_name": [SAMPLERS, {}],
            "scheduler": ["COMBO", {"options": SCHEDULERS}], "positive": COND, "negative": COND, "latent_image": LATENT}

# class -> inputs; each is [type] or [[choices]] as /object_info has them
CLASSES = {
    "CheckpointLoaderSimple": {"ckpt_name": [CHECKPOINTS, {}]},
    "ImageOnlyCheckpointLoader": {"ckpt_name": [CHECKPOINTS, {}]},
    "UNETLoader": {"unet_name": [["wan2.1_t2v_1.3B.safetensors"], {}], "weight_dtype": [["default", "fp8_e4m3fn"], {}]},
    "CLIPLoader": {"clip_name": [["clip_l.safetensors", "umt5_xxl.safetensors"], {}], "type": [["sd3", "wan"], {}]},
    "VAELoader": {"vae_name": [["ae.safetensors", "wan_2.1_vae.safetensors"], {}]},
    "LoraLoader": {"model": MODEL, "clip": CLIP, "lora_name": [["styles/ink.safetensors"], {}],
                   "strength_model": ["FLOAT", {}], "strength_clip": ["FLOAT", {}]},
    "ControlNetLoader": {"control_net_name": [["control_canny.pth", "control_openpose.pth"], {}]},
    "UpscaleModelLoader": {"model_name": [["4x-sharp.pth"], {}]},
    "CLIPSetLastLayer": {"clip": CLIP, "stop_at_clip_layer": NUMBER},
    "CLIPTextEncode": {"text": TEXT, "clip": CLIP},
    "EmptyLatentImage": {"width": NUMBER, "height": NUMBER, "batch_size": NUMBER},
    "EmptyHunyuanLatentVideo": {"width": NUMBER, "height": NUMBER, "length": NUMBER, "batch_size": NUMBER},
    "KSampler": {**SAMPLING, "seed": NUMBER, "denoise": ["FLOAT", {}]},
    "KSamplerAdvanced": {**SAMPLING, "noise_seed": NUMBER, "add_noise": [["enable", "disable"], {}],
                         "start_at_step": NUMBER, "end_at_step": NUMBER,
                         "return_with_leftover_noise": [["disable", "enable"], {}]},
    "VAEDecode": {"samples": LATENT, "vae": VAE},
    "VAEEncode": {"pixels": IMAGE, "vae": VAE},
    "RepeatLatentBatch": {"samples": LATENT, "amount": NUMBER},
    "SetLatentNoiseMask": {"samples": LATENT, "mask": MASK},
    "LoadImage": {"image": [["example.png"], {"image_upload": True}]},
    "LoadImageMask": {"image": [["example.png"], {"image_upload": True}], "channel": [["alpha", "red", "green", "blue"], {}]},
    "ImageCompositeMasked": {"destination": IMAGE, "source": IMAGE, "mask": MASK, "x": NUMBER, "y": NUMBER,
                             "resize_source": ["BOOLEAN", {}]},
    "Canny": {"image": IMAGE, "low_threshold": ["FLOAT", {}], "high_threshold": ["FLOAT", {}]},
    "ControlNetApplyAdvanced": {"positive": COND, "negative": COND, "control_net": ["CONTROL_NET"], "image": IMAGE,
                                "strength": ["FLOAT", {}], "start_percent": ["FLOAT", {}], "end_percent": ["FLOAT", {}]},
    "ImageUpscaleWithModel": {"upscale_model": ["UPSCALE_MODEL"], "image": IMAGE},
    "ImageScale": {"image": IMAGE, "upscale_method": [["nearest-exact", "lanczos"], {}], "width": NUMBER,
                   "height": NUMBER, "crop": [["disabled", "center"], {}]},
    "ImageInvert": {"image": IMAGE},
    "ModelSamplingSD3": {"model": MODEL, "shift": ["FLOAT", {}]},
    "VideoLinearCFGGuidance": {"model": MODEL, "min_cfg": ["FLOAT", {}]},
    "SVD_img2vid_Conditioning": {"clip_vision": ["CLIP_VISION"], "init_image": IMAGE, "vae": VAE, "width": NUMBER,
                                 "height": NUMBER, "video_frames": NUMBER, "motion_bucket_id": NUMBER, "fps": NUMBER,
                                 "augmentation_level": ["FLOAT", {}]},
    "CreateVideo": {"images": IMAGE, "fps": ["FLOAT", {}]},
    "SaveImage": {"images": IMAGE, "filename_prefix": TEXT},
    "PreviewImage": {"images": IMAGE},
    "SaveVideo": {"video": ["VIDEO"], "filename_prefix": TEXT},
    "PartnerImage": {"prompt": TEXT},
}
OUTPUT_NODES = {"SaveImage": "output", "PreviewImage": "temp", "SaveVideo": "output"}


def definition(name):
    entry = {"input": {"required": CLASSES[name]}, "output": [], "name": name, "display_name": name, "category": "",
             "output_node": name in OUTPUT_NODES}
    return {**entry, "api_node": True} if name == "PartnerImage" else entry


def choices(spec):
    return spec[0] if isinstance(spec[0], list) else spec[1]["options"] if spec[0] == "COMBO" else None


def png(width, height, shade):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes([shade % 256, x % 256, 90][i] for x in range(width) for i in range(3)) for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b""))


def is_link(value):
    return isinstance(value, list) and len(value) == 2


class Interrupted(Exception):
    pass


class Failed(Exception):
    def __init__(self, node, kind, message):
        super().__init__(message)
        self.node, self.kind = node, kind


class Comfy:
    def __init__(self):
        self.lock, self.writing = threading.Lock(), threading.Lock()
        self.jobs = queue.Queue()
        self.pending, self.running, self.history = [], [], {}
        self.sockets, self.flags, self.files = {}, {}, {("input", "example.png"): png(8, 8, 1)}
        self.interrupt = threading.Event()
        self.asked = {"prompts": [], "uploads": [], "interrupts": [], "deletes": [], "bodies": []}
        self.number = 0
        threading.Thread(target=self.work, daemon=True).start()

    # ---- events ----
    def send(self, client, data, binary=False):
        length = len(data)
        head = bytes([0x82 if binary else 0x81])
        head += bytes([length]) if length < 126 else b"\x7e" + struct.pack(">H", length) if length < 65536 else b"\x7f" + struct.pack(">Q", length)
        with self.writing:  # the worker and those who ask tell at the same time
            wfile = self.sockets.get(client)
            try:
                if wfile:
                    wfile.write(head + data)
                    wfile.flush()
            except (OSError, ValueError):  # who listened has gone, its file is closed
                self.sockets.pop(client, None)

    def tell(self, client, kind, **data):
        self.send(client, json.dumps({"type": kind, "data": data}).encode())

    def tell_queue(self):
        for client in list(self.sockets):
            self.tell(client, "status", status={"exec_info": {"queue_remaining": len(self.pending) + len(self.running)}})

    # ---- validation ----
    def validate(self, graph):
        if not any(node.get("class_type") in OUTPUT_NODES for node in graph.values()):
            return {"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "", "extra_info": {}},
                    "node_errors": {}}
        errors = {}
        for key, node in graph.items():
            name = node.get("class_type")
            if name not in CLASSES:
                return {"error": {"type": "missing_node_type", "message": f"Node '{name}' not found.", "details": f"Node ID '#{key}'",
                                  "extra_info": {}}, "node_errors": {}}
            for field, spec in CLASSES[name].items():
                found = []
                if field not in node["inputs"]:
                    found.append(("required_input_missing", "Required input is missing", field))
                elif choices(spec) is not None and not is_link(node["inputs"][field]):
                    value = node["inputs"][field]
                    known = ("input", value) in self.files if name.startswith("LoadImage") and field == "image" else value in choices(spec)
                    if not known:
                        found.append(("value_not_in_list", "Value not in list", f"{field}: '{value}' not in (list)"))
                for kind, message, details in found:
                    errors.setdefault(key, {"errors": [], "dependent_outputs": [], "class_type": name})["errors"].append(
                        {"type": kind, "message": message, "details": details, "extra_info": {"input_name": field}})
        if errors:
            return {"error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation",
                              "details": "", "extra_info": {}}, "node_errors": errors}
        return None

    # ---- execution ----
    def work(self):
        while True:
            job = self.jobs.get()
            with self.lock:
                if job not in self.pending:
                    continue
                self.pending.remove(job)
                self.running.append(job)
                self.interrupt.clear()
            self.execute(job)
            self.tell_queue()

    def execute(self, job):
        number, ident, graph, extra, _ = job
        client, outputs, order = extra.get("client_id"), {}, []
        messages = [["execution_start", {"prompt_id": ident, "timestamp": 0}]]
        status, forget = "success", False

        def visit(key):
            if key not in order:
                for value in graph[key]["inputs"].values():
                    if is_link(value):
                        visit(value[0])
                order.append(key)
        for key in graph:
            visit(key)
        words = " ".join(n["inputs"].get("text", "") for n in graph.values() if isinstance(n["inputs"].get("text"), str)).split()
        self.tell(client, "execution_start", prompt_id=ident, timestamp=0)
        self.tell(client, "execution_cached", nodes=[], prompt_id=ident, timestamp=0)
        if "drop" in words:
            wfile = self.sockets.pop(client, None)
            try:
                if wfile:
                    with self.writing:
                        wfile.write(b"\x88\x02\x03\xe8")
                        wfile.flush()
            except (OSError, ValueError):
                pass
        try:
            for key in order:
                self.tell(client, "executing", node=key, display_node=key, prompt_id=ident)
                self.node(job, client, key, words, outputs)
        except Failed as failure:
            status = "error"
            data = {"prompt_id": ident, "node_id": failure.node, "node_type": graph[failure.node]["class_type"], "executed": [],
                    "exception_message": str(failure), "exception_type": failure.kind, "traceback": []}
            messages.append(["execution_error", data])
            self.tell(client, "execution_error", **data)
        except Interrupted:
            status = "error"
            messages.append(["execution_interrupted", {"prompt_id": ident, "node_id": "sampler"}])
            self.tell(client, "execution_interrupted", prompt_id=ident, node_id="sampler", node_type="KSampler", executed=[])
        forget = "forget" in words
        if status == "success" and not forget:
            self.tell(client, "execution_success", prompt_id=ident, timestamp=0)
        with self.lock:
            self.running.remove(job)
            if not forget:
                self.history[ident] = {"prompt": job, "outputs": outputs, "meta": {},
                                       "status": {"status_str": status, "completed": status == "success", "messages": messages}}
        self.tell(client, "executing", node=None, prompt_id=ident)

    def node(self, job, client, key, words, outputs):
        number, ident, graph, _, _ = job
        node = graph[key]
        name, inputs = node["class_type"], node["inputs"]
        if name.startswith("KSampler"):
            if "fail" in words:
                raise Failed(key, "RuntimeError", "the sampler broke, as it was told to")
            if "oom" in words:
                raise Failed(key, "torch.OutOfMemoryError", "Allocation on device")
            while "wait" in words:
                if self.interrupt.wait(10):
                    raise Interrupted()
            for step in range(1, inputs["steps"] + 1):
                self.tell(client, "progress", value=step, max=inputs["steps"], prompt_id=ident, node=key)
                if "foreign" in words:
                    self.tell(client, "progress", value=77, max=99, prompt_id=str(uuid.uuid4()), node=key)
                self.preview(client, ident, key, step, "preview4" in words)
        if name in OUTPUT_NODES:
            outputs[key] = self.save(graph, name)
            self.tell(client, "executed", node=key, display_node=key, output=outputs[key], prompt_id=ident)

    def preview(self, client, ident, key, step, metadata):
        picture = png(4, 4, step)
        if metadata:
            details = json.dumps({"node_id": key, "prompt_id": ident, "image_type": "image/png"}).encode()
            self.send(client, struct.pack(">II", 4, len(details)) + details + picture, True)
        else:
            self.send(client, struct.pack(">II", 1, 2) + picture, True)

    def save(self, graph, name):
        kind = OUTPUT_NODES[name]
        count = 1
        for node in graph.values():
            count = max(count, *(v for k, v in node["inputs"].items() if k in ("batch_size", "amount")), 1)
        files = []
        for index in range(count if name != "SaveVideo" else 1):
            self.number += 1
            filename = f"atelier {self.number:05d}_.{'mp4' if name == 'SaveVideo' else 'png'}"
            data = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64) if name == "SaveVideo" else png(16, 16, index)
            self.files[kind, filename] = data
            files.append({"filename": filename, "subfolder": "", "type": kind})
        return {"images": files, **({"animated": [True]} if name == "SaveVideo" else {})}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first's ACK

    def log_message(self, *_):
        pass

    def reply(self, status, value=None, data=None, kind="application/json; charset=utf-8"):
        data = data if data is not None else b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        comfy = self.server.comfy
        url = urllib.parse.urlsplit(self.path)
        path, query = url.path, dict(urllib.parse.parse_qsl(url.query))
        if path == "/ws":
            self.socket(query["clientId"])
        elif path.startswith("/object_info/"):
            name = urllib.parse.unquote(path[13:])
            self.reply(200, {name: definition(name)} if name in CLASSES else {})
        elif path == "/queue":
            with comfy.lock:
                self.reply(200, {"queue_running": comfy.running, "queue_pending": comfy.pending})
        elif path.startswith("/history/"):
            with comfy.lock:
                found = comfy.history.get(path[9:])
            self.reply(200, {path[9:]: found} if found else {})
        elif path == "/view":
            data = comfy.files.get((query.get("type", "output"), query["filename"]))
            if data is None:
                self.reply(404, data=b"", kind="text/plain")
            else:
                self.reply(200, data=data, kind="video/mp4" if query["filename"].endswith("mp4") else "image/png")
        elif path == "/double":
            self.reply(200, comfy.asked)
        else:
            self.reply(404, data=b"404: Not Found", kind="text/plain")

    def do_POST(self):
        comfy = self.server.comfy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path in ("/upload/image", "/upload/mask"):
            self.upload(body)
            return
        value = json.loads(body or b"{}")
        if self.path == "/prompt":
            self.prompt(value)
        elif self.path == "/queue":
            with comfy.lock:
                comfy.asked["deletes"] += value.get("delete", [])
                comfy.pending = [job for job in comfy.pending if job[1] not in value.get("delete", [])]
            self.reply(200)
        elif self.path == "/interrupt":
            comfy.asked["interrupts"].append(value.get("prompt_id"))
            comfy.interrupt.set()
            self.reply(200)
        else:
            self.reply(404, data=b"404: Not Found", kind="text/plain")

    def upload(self, body):
        comfy = self.server.comfy
        message = BytesParser().parsebytes(b"Content-Type: " + self.headers["Content-Type"].encode() + b"\r\n\r\n" + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
        name = parts["image"].get_filename()
        comfy.files["input", name] = parts["image"].get_payload(decode=True)
        comfy.asked["uploads"].append({"name": name, "bytes": len(comfy.files["input", name]),
                                       "overwrite": parts["overwrite"].get_payload() if "overwrite" in parts else "",
                                       "original": json.loads(parts["original_ref"].get_payload())["filename"] if "mask" in self.path else ""})
        self.reply(200, {"name": name, "subfolder": "", "type": "input"})

    def prompt(self, value):
        comfy = self.server.comfy
        error = comfy.validate(value.get("prompt", {}))
        if error:
            self.reply(400, error)
            return
        ident = value.get("prompt_id") or str(uuid.uuid4())
        if str(uuid.UUID(ident)) != ident:
            self.reply(400, {"error": {"type": "invalid_prompt_id", "message": "Invalid prompt id", "details": "", "extra_info": {}},
                             "node_errors": {}})
            return
        with comfy.lock:
            comfy.asked["prompts"].append(value["prompt"])
            comfy.asked["bodies"].append({k: v for k, v in value.items() if k != "prompt"})
            job = [len(comfy.asked["prompts"]), ident, value["prompt"], {"client_id": value.get("client_id")}, []]
            comfy.pending.append(job)
        # queued only once its id is told, so that no test depends on which of the two is first
        self.reply(200, {"prompt_id": ident, "number": job[0], "node_errors": {}})
        comfy.tell_queue()
        comfy.jobs.put(job)

    def socket(self, client):
        comfy = self.server.comfy
        accept = base64.b64encode(hashlib.sha1((self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        with comfy.writing:  # nothing is told before it listens, and nothing that comes after is missed
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: " +
                             accept + b"\r\n\r\n")
            self.wfile.flush()
            comfy.sockets[client] = self.wfile
        comfy.tell(client, "status", status={"exec_info": {"queue_remaining": 0}}, sid=client)
        self.close_connection = True
        try:
            while self.rfile.read(1):
                pass
        except OSError:
            pass
        if comfy.sockets.get(client) is self.wfile:
            comfy.sockets.pop(client, None)


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.comfy = Comfy()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
