// Package rig is the bench that the finished appliance is put on: it builds the binary, runs it as
// a process of its own on loopback, loads it, catches what it hands on, and does the same with
// Debian's Postfix. The interop suite, the crash test and the benchmark are written with it.
//
// # Limits
//
// It is for tests: what fails is returned, nothing is tried twice, and everything it listens on or
// connects to is 127.0.0.1. Memory grows with the number of messages a Sink has seen, and with
// their bytes if it keeps them.
//
// # Who runs where
//
// A Sink has a goroutine per connection and one that accepts; Close waits for all of them. An
// Appliance has one goroutine that waits for the process; Stop and Kill wait for it. Load and
// LoadHTTP return when their last connection has ended.
package rig
