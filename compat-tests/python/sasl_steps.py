"""What kazoo sees that logs in by SASL at the address given; one line a step."""

import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.security import make_acl


def step(name, fn):
    try:
        seen = fn()
    except KazooException as error:
        seen = type(error).__name__
    print(f"{name}: {seen}", flush=True)


def connect(user, password):
    options = {"mechanism": "DIGEST-MD5", "username": user, "password": password}
    client = KazooClient(hosts=sys.argv[1], timeout=6.0, sasl_options=options if user else None)
    step(f"log in as {user!r} with {password!r}", lambda: client.start(timeout=15))
    return client


def leave(client):
    client.stop()
    client.close()


bob = connect("bob", "geheim")
own = [make_acl("sasl", "bob", all=True)]
step("create own", lambda: bob.create("/kazoo", b"x", acl=own))
step("get own", lambda: bob.get("/kazoo")[0])
step("acl of own", lambda: bob.get_acls("/kazoo")[0])
step("create for zoe", lambda: bob.create("/kazoo-zoe", b"y", acl=[make_acl("sasl", "zoe", all=True)]))
step("get zoe's", lambda: bob.get("/kazoo-zoe")[0])
leave(bob)
other = connect("super", "adminsecret")
step("get zoe's", lambda: other.get("/kazoo-zoe")[0])
step("get bob's", lambda: other.get("/kazoo")[0])
leave(other)
nobody = connect("", "")
step("get bob's", lambda: nobody.get("/kazoo")[0])
leave(nobody)
for user, password in [("bob", "wrong"), ("eve", "x")]:
    refused = connect(user, password)
    end = time.monotonic() + 10
    while refused.state != "LOST" and time.monotonic() < end:
        time.sleep(0.02)
    print(f"state: {refused.state}")
    leave(refused)
print("end")
