// Package survival keeps the finished appliance busy while everything around it misbehaves, and
// measures what that costs: clients that are hostile (TestHostile), an upstream and an operator
// that are restless (TestSoak), a queue that grows (TestScale), and a mailing that others must not
// wait for (TestFair). Its tests are built with the tag crash and run by `make hostile`, `make
// soak`, `make scale` and `make fair`; each prints a table.
//
// # What it promises
//
// What fails a test is a loss, a failure of a well-behaved client, or a bound that does not hold:
// not a machine that is slow, as long as it delivers a contact form's mail within a second.
//
// # Limits
//
// Load, upstream and appliance share one machine. Rates only mean something as ratios within one
// run.
package survival
