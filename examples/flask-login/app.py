"""A small Flask service with an admin login, as a thing for guard to protect.

Each login that fails is one line, here as it looks for a client at 192.168.32.6:

    2025-05-26 11:57:27,050 WARNING: Login failed for user 'aaa' [IP: 192.168.32.6]

It goes to the container's output, or to the file that LOG_FILE names. It bears the address of the
connection itself: there is no reverse proxy in front. Behind one, that would be the proxy's.
"""

import hmac
import ipaddress
import logging
import os
import secrets

from flask import Flask, redirect, render_template_string, request, session

ADMIN_USER = os.environ.get("ADMIN_USER", "admin")
ADMIN_PASSWORD = os.environ.get("ADMIN_PASSWORD") or secrets.token_urlsafe(16)
LOG_FILE = os.environ.get("LOG_FILE")

handler = logging.FileHandler(LOG_FILE) if LOG_FILE else logging.StreamHandler()
handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s"))
log = logging.getLogger("login")
log.setLevel(logging.INFO)
log.addHandler(handler)

app = Flask(__name__)
app.secret_key = secrets.token_bytes(32)

PAGE = """<!doctype html>
<title>Admin</title>
<h1>Admin</h1>
{% if user %}
<p>Signed in as {{ user }}.</p>
{% else %}
{% if failed %}<p>Wrong name or password.</p>{% endif %}
<form method="post" action="/login">
  <p><label>User <input name="username" autofocus></label></p>
  <p><label>Password <input name="password" type="password"></label></p>
  <p><button>Sign in</button></p>
</form>
{% endif %}
"""


def client_address():
    """The client's address; an IPv4 client of an IPv6 socket is written as IPv4."""
    address = ipaddress.ip_address(request.remote_addr)
    return getattr(address, "ipv4_mapped", None) or address


def printable(text):
    """What a client typed, fit for a line of the log: no line breaks, no control characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:64])


def matches(given, expected):
    """Compares in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())


@app.get("/")
@app.get("/login")
def form():
    return render_template_string(PAGE, user=session.get("user"))


@app.post("/login")
def login():
    user = request.form.get("username", "")
    password = request.form.get("password", "")
    if matches(user, ADMIN_USER) & matches(password, ADMIN_PASSWORD):
        session["user"] = user
        log.info("Login of user '%s' [IP: %s]", printable(user), client_address())
        return redirect("/")
    log.warning("Login failed for user '%s' [IP: %s]", printable(user), client_address())
    return render_template_string(PAGE, failed=True), 401
