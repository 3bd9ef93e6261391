package operate

import (
	"io"
	"strings"
	"testing"
)

// Every LF that has no CR before it gets one, nothing else changes, however the text is cut.
func FuzzCRLF(f *testing.F) {
	for _, seed := range []string{"", "a\nb\r\nc\rd\r\r\n\n\n", "\n", "\r", strings.Repeat("line\n", 9000)} {
		f.Add(seed, uint8(1), uint8(3))
	}
	f.Fuzz(func(t *testing.T, text string, in, out uint8) {
		var want strings.Builder
		for i := range len(text) {
			if text[i] == '\n' && (i == 0 || text[i-1] != '\r') {
				want.WriteByte('\r')
			}
			want.WriteByte(text[i])
		}
		c := &crlf{r: &pieces{text, int(in)%700 + 1}}
		var got strings.Builder
		p := make([]byte, int(out)%900+1)
		for {
			n, err := c.Read(p)
			got.Write(p[:n])
			if err == io.EOF {
				break
			}
			if n == 0 || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
		if got.String() != want.String() {
			t.Fatalf("%q, want %q", &got, &want)
		}
	})
}

// pieces hands a text out a few bytes at a time, the end with the last of them.
type pieces struct {
	left string
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b, p.left[:min(p.size, len(p.left))])
	if p.left = p.left[n:]; p.left == "" {
		return n, io.EOF
	}
	return n, nil
}
