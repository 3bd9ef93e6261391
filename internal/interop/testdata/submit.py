"""Submits a file as it is, with smtplib. The argument is JSON: host, port, tls ("no", "starttls", "implicit"),
auth ("", "PLAIN", "LOGIN"), user, password, ca, from, to, file."""
import json
import smtplib
import ssl
import sys

o = json.loads(sys.argv[1])
context = ssl.create_default_context(cafile=o["ca"])
if o["tls"] == "implicit":
    server = smtplib.SMTP_SSL(o["host"], o["port"], timeout=20, context=context)
else:
    server = smtplib.SMTP(o["host"], o["port"], timeout=20)
with server:
    if o["tls"] == "starttls":
        server.starttls(context=context)
    server.ehlo()
    if o["auth"]:
        server.user, server.password = o["user"], o["password"]
        how = {"PLAIN": server.auth_plain, "LOGIN": server.auth_login}[o["auth"]]
        server.auth(o["auth"], how)
    with open(o["file"], "rb") as f:
        refused = server.sendmail(o["from"], [o["to"]], f.read(), mail_options=["BODY=8BITMIME"])
    if refused:
        sys.exit(f"refused: {refused}")
