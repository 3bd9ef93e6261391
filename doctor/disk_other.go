//go:build !linux

package doctor

// diskSpace knows no portable way to ask.
func diskSpace(string) (space, error) { return space{notSupported: true}, nil }
