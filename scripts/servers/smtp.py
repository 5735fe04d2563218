"""A mail server (aiosmtpd) for tests and for trying things out. It takes mail for anybody, keeps it, and sends nothing on.

    smtp.py FOLDER CLEAR_PORT STARTTLS_PORT TLS_PORT CERTIFICATE KEY

Each message that is taken becomes one JSON file in FOLDER: its envelope, its headers and text as a mail client reads them, its raw
lines, and whether the sender logged in and encrypted. The three ports speak in the clear, ask for STARTTLS, and speak TLS from the first byte; each knows the user `sluice`
with the password `test-only`, and the last two take no mail from strangers.

What happens to a recipient is said by what stands before the @, as a mailbox's trouble is elsewhere:
    nobody…    550, for good          full…      452, for now
    busy-N…    451 the first N times that address is named, then it is taken
    odd…       554 once the message was read
"""

import asyncio
import collections
import email
import email.policy
import json
import os
import re
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FOLDER, CLEAR, STARTTLS, TLS, CERTIFICATE, KEY = sys.argv[1:]
LOGIN = (b"sluice", b"test-only")


class Mailboxes:
    """Takes or refuses, and keeps what was taken."""

    def __init__(self):
        self.asked = collections.Counter()
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        box = address.partition("@")[0]
        self.asked[address] += 1
        if box.startswith("nobody"):
            return f"550 5.1.1 <{address}>: there is nobody of this name"
        if box.startswith("full"):
            return f"452 4.2.2 <{address}>: the mailbox is full"
        busy = re.match(r"busy-(\d+)", box)
        if busy and self.asked[address] <= int(busy[1]):
            return "451 4.3.2 come again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        if any(address.startswith("odd") for address in envelope.rcpt_tos):
            return "554 5.6.0 no such message is taken here"
        self.taken += 1
        read = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in read.items()],
            "text": read.get_content(),
            "raw": envelope.original_content.decode("latin-1"),
            "hello": session.host_name,
            "encrypted": server.transport.get_extra_info("cipher") is not None,
            "login": bool(session.authenticated),
        }
        # Whole or not at all: a test may look at any moment.
        name = os.path.join(FOLDER, f"{self.taken:06}.json")
        with open(name + ".part", "w", encoding="utf-8") as file:
            json.dump(mail, file)
        os.rename(name + ".part", name)
        return "250 2.0.0 it is ours now"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and (data.login, data.password) == LOGIN
    return AuthResult(success=known, handled=False)


async def main():
    loop = asyncio.get_running_loop()
    mailboxes = Mailboxes()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE, KEY)

    def speaking(**more):
        return lambda: SMTP(mailboxes, hostname="mail.test", authenticator=authenticate, loop=loop, **more)

    protected = {"auth_required": True}
    for port, context, factory in [
        (CLEAR, None, speaking(auth_require_tls=False)),
        (STARTTLS, None, speaking(tls_context=tls, require_starttls=True, **protected)),
        (TLS, tls, speaking(auth_require_tls=False, **protected)),
    ]:
        await loop.create_server(factory, "127.0.0.1", int(port), ssl=context)
    await asyncio.Event().wait()


asyncio.run(main())
