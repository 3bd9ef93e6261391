package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"dinkymail/backup"
	"dinkymail/cli/world"
)

// What keeps a backup from being restored is told apart by the exit status.
func TestNotRestored(t *testing.T) {
	for _, test := range []struct {
		err  error
		code int
	}{
		{&Exit{Code: world.ExitNoPermission, Err: fs.ErrPermission}, world.ExitNoPermission},
		{fmt.Errorf("%w: it ends", backup.ErrIncomplete), world.ExitData},
		{fs.ErrExist, world.ExitCantCreate},
	} {
		exit, ok := errors.AsType[*Exit](notRestored(test.err))
		if !ok || exit.Code != test.code || !errors.Is(exit, test.err) {
			t.Errorf("%v: %+v", test.err, exit)
		}
	}
}
