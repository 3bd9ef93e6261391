//go:build !linux

package journal

import "os"

// datasync makes what was written to f survive power loss.
func datasync(f *os.File) error { return f.Sync() }

// allocate gives f size bytes of disk, so that they are there to be given up later.
func allocate(f *os.File, size int64) error { return fill(f, size) }
