// Submits the file given as it is, with nodemailer. The argument is JSON:
// {host, port, tls: "no"|"starttls"|"implicit", auth: ""|"PLAIN"|"LOGIN", user, password, ca, from, to, file}
import { readFileSync } from 'node:fs';
import { createTransport } from 'nodemailer';

const o = JSON.parse(process.argv[2]);
const transport = createTransport({
  host: o.host,
  port: o.port,
  secure: o.tls === 'implicit',
  requireTLS: o.tls === 'starttls',
  ignoreTLS: o.tls === 'no',
  auth: o.auth ? { user: o.user, pass: o.password } : undefined,
  authMethod: o.auth || undefined,
  tls: { ca: readFileSync(o.ca) },
});
const done = await transport.sendMail({ envelope: { from: o.from, to: [o.to] }, raw: readFileSync(o.file) });
console.log(done.response);
transport.close();
