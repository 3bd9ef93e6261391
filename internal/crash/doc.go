// Package crash kills the appliance with SIGKILL, again and again, while mail comes in by SMTP and
// HTTP and goes out to a next hop, and compares what clients were told was accepted with what
// arrived in the end. It does the same with a disk that fills up or turns read-only, with a journal
// whose end was left half written, and without file descriptors. Its tests are built with the tag
// crash and run by `make crash`.
//
// # What it promises
//
// No acknowledged message is lost. A message may come twice only if a crash fell between the next
// hop's answer and our record of it: per crash at most the messages that were being handed over or
// whose outcome was not yet written (repeatLimit).
//
// # Limits
//
// A kill is no power failure: what the kernel holds survives it. The order of writes and syncs is
// queuetest's subject.
package crash
