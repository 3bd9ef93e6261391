package message

import "testing"

// Who says nothing wants to hear of failures, and of nothing else (RFC 3461, 4.1).
func TestNotify(t *testing.T) {
	for n, want := range map[Notify][2]bool{
		0: {true, false}, NotifyNever: {false, false}, NotifyFailure: {true, false}, NotifySuccess: {false, true},
		NotifySuccess | NotifyFailure | NotifyDelay: {true, true}, NotifyDelay: {false, false},
	} {
		if got := [2]bool{n.OnFailure(), n.OnSuccess()}; got != want {
			t.Errorf("%b: got %v, want %v", n, got, want)
		}
	}
}
