// Package interop tries the finished binary against programs that others wrote: mail clients in
// front of it, mail servers behind it, a browser in between; and around it what asks for Postfix or
// Exim and gets us: cron, PHP, monitoring, pipelines. Its tests are built with the tag interop and
// run by `make interop`.
//
// # What it promises
//
// Every message is looked for at the far end, with its envelope and its bytes, not only for a
// friendly reply. A test whose tool is not installed says so and is skipped, unless CI=true or
// DINKYMAIL_INTEROP=all: then it fails.
//
// # Limits
//
// Loopback only. The Postfix instances need root, and so do other users and mounts in a namespace
// of its own, which is how programs find our links in /usr/sbin: nothing of the machine's own
// directories is touched.
package interop
