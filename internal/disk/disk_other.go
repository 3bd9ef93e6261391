//go:build !linux

package disk

import "errors"

// Look knows no portable way to ask.
func Look(string) (Space, error) { return Space{}, errors.ErrUnsupported }
