package cli

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"dinkymail/cli/world"
)

// Who may not read the appliance's settings is told to become somebody who may ask it; wrong
// settings stay what they are.
func TestSettingsOfOthers(t *testing.T) {
	wrong := world.Failf(world.ExitConfig, "wrong")
	if err := withSudo(".env", wrong, &fs.PathError{Op: "open", Path: ".env", Err: fs.ErrNotExist}); !errors.Is(err, wrong) {
		t.Errorf("got %v", err)
	}
	err := withSudo(".env", wrong, &fs.PathError{Op: "open", Path: ".env", Err: fs.ErrPermission})
	exit, ok := errors.AsType[*Exit](err)
	if !ok || exit.Code != world.ExitNoPermission || !strings.HasSuffix(err.Error(), "run this with sudo") {
		t.Errorf("got %v", err)
	}
}
