"""A real redis-server as a child: on a unix socket in a folder, started, stopped and started again by a test."""
import shutil
import socket
import subprocess

from harness import wait_until


class Redis:
    def __init__(self, folder, *more):
        self.folder = folder
        self.more = list(more)
        self.socket = folder / "redis.sock"
        self.process = None
        self.start()

    @property
    def url(self):
        return f"unix://{self.socket}"

    def start(self):
        program = shutil.which("redis-server") or "/usr/bin/redis-server"
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "redis.log", "ab") as log:
            self.process = subprocess.Popen(
                [program, "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no",
                 "--dir", str(self.folder), *self.more], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.answers, what="redis-server")
        return self

    def answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(self.socket))
                sock.sendall(b"PING\r\n")
                return sock.recv(16)[:1] in (b"+", b"-")
        except OSError:
            return False

    def ask(self, *words):
        """One command, as text of what came back."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            sock.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in
                                                             (word.encode() for word in words)))
            return sock.recv(65536).decode(errors="replace")

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
