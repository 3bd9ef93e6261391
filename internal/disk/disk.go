// Package disk asks a file system how much room it has and whether what is written there stays, and
// keeps small files whole.
package disk

// Space is what a file system has left.
type Space struct {
	Free, Size  int64  // bytes, free for us and in all
	Files       uint64 // files that can still be made
	CountsFiles bool   // some have no limit
	Passing     string // why what is written there does not stay; empty where it does
	ReadOnly    bool
}
