package disk

import (
	"os"
	"path/filepath"
	"testing"
)

// What is written is read again, for the owner alone; nothing is read of a file that is not there,
// and half a file is an error.
func TestState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	got := map[string]int{"before": 1}
	if err := ReadState(file, &got); err != nil || len(got) != 1 {
		t.Errorf("a file that is not there: %v, %v", got, err)
	}
	for _, want := range []int{2, 3} {
		if err := WriteState(file, map[string]int{"n": want}); err != nil {
			t.Fatal(err)
		}
		if err := ReadState(file, &got); err != nil || got["n"] != want {
			t.Errorf("read %v, %v, want %d", got, err, want)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte(`{"n":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if ReadState(file, &got) == nil {
		t.Error("half a file is read")
	}
	if WriteState(filepath.Join(file, "x"), 1) == nil {
		t.Error("a file below a file is written")
	}
	if err := WriteState("", 1); err != nil {
		t.Error(err)
	}
}
