// Package survival keeps the finished appliance busy while everything around it misbehaves, and measures what that costs: clients
// that are hostile (TestHostile), an upstream and an operator that are restless (TestSoak), and a queue that grows (TestScale).
// Its tests are built with the tag crash and run by `make hostile`, `make soak` and `make scale`; each prints a table.
//
// # What it promises
//
// What fails a test is a loss, a failure of a well-behaved client, or a bound that does not hold: never a machine that is slow.
//
// # Limits
//
// Load, upstream and appliance share one machine. Rates only mean something as ratios within one run.
package survival
