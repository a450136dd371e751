"""A real mail server (aiosmtpd), and an HTTPS server, for the tests of notices.

    mail.py CERTIFICATE KEY

Prints a line of JSON with its ports, then one for each mail and each request.
"""

import asyncio
import http.server
import json
import ssl
import sys
import threading

from aiosmtpd.smtp import SMTP, AuthResult


def say(**what):
    print(json.dumps(what), flush=True)


class Mailbox:
    def __init__(self, name):
        self.name = name

    async def handle_DATA(self, server, session, envelope):
        say(
            server=self.name,
            tls=session.ssl is not None or self.name == "tls",
            login=bool(session.authenticated),
            sender=envelope.mail_from,
            to=envelope.rcpt_tos,
            text=envelope.content.decode(),
        )
        return "250 2.0.0 queued as 4711"


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login, data.password) == (b"guard", b"SECRETmail")
    return AuthResult(success=good, handled=False)


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        say(server="https", text=body.decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    loop = asyncio.get_running_loop()
    ports = {}
    kinds = {
        "plain": dict(),
        "starttls": dict(tls_context=context, require_starttls=True, auth_required=True),
        "tls": dict(auth_required=True, auth_require_tls=False),
    }
    for name, options in kinds.items():
        if name != "plain":
            options["authenticator"] = authenticate
        make = lambda name=name, options=options: SMTP(Mailbox(name), **options)
        server = await loop.create_server(
            make, "127.0.0.1", 0, ssl=context if name == "tls" else None
        )
        ports[name] = server.sockets[0].getsockname()[1]
    hooks = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    hooks.socket = context.wrap_socket(hooks.socket, server_side=True)
    ports["https"] = hooks.server_port
    threading.Thread(target=hooks.serve_forever, daemon=True).start()
    say(**ports)
    await asyncio.Event().wait()


asyncio.run(main())
