package world

import (
	"bufio"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// A line without an end is a line too; a read that fails is told, and ends it.
func TestLines(t *testing.T) {
	var got []string
	for line, err := range Lines(strings.NewReader("one\r\n\ntwo")) {
		if err != nil {
			t.Error(err)
		}
		got = append(got, line)
	}
	if want := []string{"one", "", "two"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	n := 0
	for _, err := range Lines(iotest.ErrReader(errors.New("gone"))) {
		if n++; err == nil {
			t.Error("no error")
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}

// What was printed comes before what went wrong, an error without a status means 1, and output that
// is lost is told.
func TestRun(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
		code int
	}{
		{nil, "out", 0},
		{errors.New("odd"), "out|p: odd", 1},
		{Failf(75, "later"), "out|later", 75},
		{Ended(3), "out", 3},
	} {
		var out strings.Builder
		w := World{Out: &out}
		code := w.Run("p: ", func(text string) { out.WriteString("|" + text) }, func(b *bufio.Writer) error {
			_, err := b.WriteString("out")
			return errors.Join(err, c.err)
		})
		if out.String() != c.want || code != c.code {
			t.Errorf("%v: got %q, %d", c.err, out.String(), code)
		}
	}
	lost := World{Out: closed{}}
	said := ""
	code := lost.Run("p: ", func(text string) { said = text }, func(b *bufio.Writer) error {
		_, err := b.WriteString("out")
		return err
	})
	if code != 1 || said != "p: write error: gone" {
		t.Errorf("got %d, %q", code, said)
	}
}

// closed is an output that nobody reads.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, errors.New("gone") }
