"""A double of an AUTOMATIC1111 server: one long POST, its progress asked for meanwhile, interrupted on request.

Run it: `python3 a1111_double.py` prints its port and serves until its input ends. The POST goes on one step each time its
progress was asked for, so that no test depends on time; with the prompt `wait` it ends only when it is interrupted.
"""
import base64
import json
import os
import struct
import sys
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STEPS = 3


def png(side):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)) +
                            chunk(b"IDAT", zlib.compress(bytes(side * (side + 1)))) + chunk(b"IEND", b"")).decode()


class Job:
    def __init__(self):
        self.changed = threading.Condition()
        self.running, self.interrupted, self.step, self.interrupts = False, False, 0, 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the first's ACK

    def log_message(self, *_):
        pass

    def reply(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        job = self.server.job
        if self.path == "/double":
            self.reply({"interrupts": job.interrupts})
            return
        with job.changed:
            if job.running and job.step < STEPS:
                job.step += 1
            answer = {"progress": job.step / STEPS, "eta_relative": float(STEPS - job.step),
                      "state": {"sampling_step": job.step, "sampling_steps": STEPS if job.running else 0, "job": "txt2img"},
                      "current_image": png(4) if job.running and "skip_current_image=false" in self.path else None}
        self.reply(answer)
        with job.changed:
            job.changed.notify_all()

    def do_POST(self):
        job = self.server.job
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        if self.path == "/sdapi/v1/interrupt":
            with job.changed:
                job.interrupts += 1
                job.interrupted = True
                job.changed.notify_all()
            self.reply({})
            return
        with job.changed:
            job.running, job.interrupted, job.step = True, False, 0
            while not job.interrupted and (job.step < STEPS or body["prompt"] == "wait"):
                job.changed.wait(30)
            job.running = False
        try:
            self.reply({"images": [png(16)], "parameters": {}, "info": json.dumps({"all_seeds": [body["seed"]]})})
        except OSError:
            pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.job = Job()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
