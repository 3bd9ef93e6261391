package smtp

import (
	"bufio"
	"bytes"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every conversation in testdata goes as it is written there. "C:" is a line of the client, "RAW:"
// bytes of it as a Go string (several until the next "S:" are sent at once), "S:" a line of the
// server as a path.Match pattern, "EOF" the end of the connection, "END" that of what the client
// has to say, "ACCEPTED: n" how many mails the Submitter took. The first line names the
// configuration.
func TestTalks(t *testing.T) {
	files, err := filepath.Glob("testdata/*.talk")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".talk"), func(t *testing.T) { runTalk(t, text) })
	}
}

// talkConfigs are the configurations that a transcript can ask for.
func talkConfigs() map[string]Config {
	return map[string]Config{
		"WITH: trusted":  {},
		"WITH: stranger": {Trusted: nobody},
		"WITH: accounts": {Trusted: nobody, Accounts: accounts(map[string]string{"ada": cheap})},
		"WITH: small":    {MaxMessageBytes: 1000, MaxRecipients: 3, MaxErrors: 5},
	}
}

func runTalk(t *testing.T, text []byte) {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	cfg, ok := talkConfigs()[string(first)]
	if !ok {
		t.Fatalf("line 1: no configuration %q", first)
	}
	h := open(t, cfg)
	var p *peer
	var out strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(rest))
	for n := 2; lines.Scan(); n++ {
		verb, arg, _ := strings.Cut(lines.Text(), ":")
		arg = strings.TrimPrefix(arg, " ")
		if p == nil && verb != "" && !strings.HasPrefix(verb, "#") {
			p = dial(t, h.addr)
		}
		switch {
		case verb == "C":
			out.WriteString(arg + "\r\n")
		case verb == "RAW":
			raw, err := strconv.Unquote(arg)
			if err != nil {
				t.Fatalf("line %d: %v", n, err)
			}
			out.WriteString(raw)
		case verb == "S" || verb == "EOF":
			if out.Len() > 0 {
				p.send(out.String())
				out.Reset()
			}
			checkTalk(t, p, n, verb, arg)
		case verb == "END":
			p.send(out.String())
			out.Reset()
			p.finish()
		case verb == "ACCEPTED":
			if got := strconv.Itoa(len(h.all())); got != arg {
				t.Fatalf("line %d: %s mails accepted, want %s", n, got, arg)
			}
		case verb == "" || strings.HasPrefix(verb, "#"):
		default:
			t.Fatalf("line %d: what is %q?", n, lines.Text())
		}
	}
}

func checkTalk(t *testing.T, p *peer, n int, verb, want string) {
	t.Helper()
	if verb == "EOF" {
		p.gone()
		return
	}
	line, err := p.r.ReadString('\n')
	if err != nil {
		t.Fatalf("line %d: %v, want %q", n, err, want)
	}
	got := strings.TrimRight(line, " \r\n")
	escape := strings.NewReplacer("[", `\[`, "?", `\?`, "/", "|")
	if ok, err := path.Match(escape.Replace(want), strings.ReplaceAll(got, "/", "|")); !ok || err != nil {
		t.Fatalf("line %d: got %q, want %q", n, got, want)
	}
}
