//go:build !unix

package aliases

import "os"

func openPlain(name string, _ bool) (*os.File, error) { return os.Open(name) }
