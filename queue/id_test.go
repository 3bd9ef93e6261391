package queue

import (
	"testing"
	"time"
)

// The time in an ID is when it was made.
func TestIDTime(t *testing.T) {
	if d := time.Since(NewID().Time()); d < -time.Minute || d > time.Minute {
		t.Errorf("it is %v ago", d)
	}
	if !ID("no ID").Time().IsZero() {
		t.Error("what is no ID has a time")
	}
}
