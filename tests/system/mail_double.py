"""A mail server for tests: speaks SMTP (RFC 5321) on a loopback port and keeps what it was given.

`answers` says what to answer instead, by command ("MAIL", "RCPT", "DATA", "." for the end of a message): a list of lines used up
one by one. While `go_on` is cleared, no command is answered. `password` asks for AUTH PLAIN. Commands are kept as they came, so that a test sees every line of the dialogue.
"""
import base64
import email
import email.policy
import queue
import socketserver
import threading


class Talk(socketserver.StreamRequestHandler):
    timeout = 120

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def answer(self, command, usual):
        told = self.server.answers.get(command)
        line = told.pop(0) if told else usual
        self.say(line)
        return line.startswith(("2", "3"))

    def handle(self):
        signed_in = self.server.password is None
        sender, receivers = None, []
        self.say("220 double ESMTP")
        for raw in self.rfile:
            line = raw.decode("latin-1").rstrip("\r\n")
            self.server.commands.append(line)
            command = line.split(" ")[0].upper()
            self.server.go_on.wait()
            if command == "EHLO":
                self.say("250-double")
                self.say("250-AUTH PLAIN" if self.server.password else "250-8BITMIME")
                self.say("250 SIZE 1000000")
            elif command == "AUTH":
                given = line.split(" ")[2] if line.count(" ") > 1 else None
                if given is None:
                    self.say("334 ")
                    given = self.rfile.readline().decode().strip()
                signed_in = base64.b64decode(given) == b"\0" + self.server.password
                self.say("235 ok" if signed_in else "535 no")
            elif not signed_in and command in ("MAIL", "RCPT", "DATA"):
                self.say("530 sign in first")
            elif command == "MAIL":
                sender, receivers = line, []
                self.answer("MAIL", "250 ok")
            elif command == "RCPT":
                if self.answer("RCPT", "250 ok"):
                    receivers.append(line.split("<")[1].split(">")[0])
            elif command == "DATA":
                if not self.answer("DATA", "354 go"):
                    continue
                lines = []
                for data in self.rfile:
                    if data == b".\r\n":
                        break
                    lines.append(data[1:] if data.startswith(b"..") else data)
                if self.answer(".", "250 taken"):
                    self.server.taken.put((sender, receivers, b"".join(lines)))
            elif command == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok" if command in ("HELO", "RSET", "NOOP") else "502 what?")


class MailServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, password=None):
        super().__init__(("127.0.0.1", 0), Talk)
        self.password = password  # b"name\0password"
        self.taken = queue.Queue()
        self.commands = []
        self.answers = {}
        self.go_on = threading.Event()  # cleared: nothing is answered
        self.go_on.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def next(self, timeout=120):
        """The next message: receivers, the parsed message, its text."""
        _, receivers, raw = self.taken.get(timeout=timeout)
        message = email.message_from_bytes(raw, policy=email.policy.default)
        return receivers, message, message.get_content()

    def close(self):
        self.go_on.set()
        self.shutdown()
        self.server_close()
