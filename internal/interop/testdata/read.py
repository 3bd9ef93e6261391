"""Reads a message from standard input with email.policy.default, and prints what a mail program would show of it, as JSON."""
import base64
import email
import email.policy
import json
import sys

m = email.message_from_binary_file(sys.stdin.buffer, policy=email.policy.default)


def people(name):
    field = m[name]
    return [] if field is None else [[a.display_name, a.addr_spec] for a in field.addresses]


def body(kind):
    part = m.get_body(preferencelist=(kind,))
    return None if part is None else part.get_content()


def attachment(part):
    content = part.get_payload(decode=True)
    return {
        "filename": part.get_filename(),
        "type": part.get_content_type(),
        "id": part["Content-ID"],
        "disposition": part.get_content_disposition(),
        "content": base64.b64encode(content or b"").decode(),
    }


bodies = {id(m.get_body(preferencelist=(kind,))) for kind in ("plain", "html")}
leaves = [p for p in m.walk() if not p.is_multipart() and id(p) not in bodies]
defects = [str(d) for p in m.walk() for d in p.defects]
defects += [f"{name}: {d}" for name, field in m.items() for d in getattr(field, "defects", [])]
json.dump(
    {
        "names": [name for name in m.keys()],
        "subject": m["Subject"],
        "from": people("From"),
        "to": people("To"),
        "cc": people("Cc"),
        "reply_to": people("Reply-To"),
        "custom": m["X-Custom"],
        "message_id": m["Message-ID"],
        "mime_version": m["MIME-Version"],
        "text": body("plain"),
        "html": body("html"),
        "attachments": [attachment(p) for p in leaves],
        "defects": defects,
    },
    sys.stdout,
)
