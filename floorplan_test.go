package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// storey is the height at which a package stands. Imports point down, and doors and rooms do not
// know their neighbours.
type storey int

const (
	ground storey = iota
	room
	door
	roof
)

// floorplan is every package of the house. A new one goes here in the commit that adds it.
var floorplan = map[string]storey{
	"dinkymail": roof,
	"config":    roof,
	"cli":       roof,
	"doctor":    roof,
	"smtp":      door,
	"httpapi":   door,
	"relay":     door,
	"maildrop":  door,
	"queue":     room,
	"account":   room,
	"message":   ground,
	"aliases":   ground,
	"alert":     door,
	"backup":    room,
	"operate":   room,
	"control":   door,

	"cli/world":         roof,
	"cli/sendmail":      roof,
	"cli/postfix":       roof,
	"cli/exim":          roof,
	"queue/boltstore":   room,
	"queue/journal":     ground,
	"queue/memstore":    room,
	"queue/queuetest":   room,
	"internal/certs":    ground,
	"queue/lane":        ground,
	"queue/turns":       ground,
	"internal/disk":     ground,
	"internal/dnstest":  ground,
	"internal/events":   ground,
	"internal/smtptest": ground,
	"internal/gate":     ground,
	"internal/getopt":   ground,
	"internal/plain":    ground,
	"internal/listen":   ground,
	"internal/logfile":  ground,
	"internal/measure":  ground,
	"internal/web":      ground,
	"internal/bench":    roof,
	"internal/crash":    roof,
	"internal/interop":  roof,
	"internal/rig":      roof,
	"internal/stock":    roof,
	"internal/survival": roof,
}

// inside lists the pairs that stand on one storey and may still know each other, because one is a
// part of the other.
var inside = map[string][]string{
	"aliases":           {"message"},
	"backup":            {"queue"},
	"operate":           {"queue"},
	"cli/world":         {"config"},
	"cli/sendmail":      {"config", "cli/world"},
	"cli/postfix":       {"config", "cli/world"},
	"cli/exim":          {"config", "cli/world"},
	"queue/boltstore":   {"queue"},
	"queue/memstore":    {"queue"},
	"queue/queuetest":   {"queue"},
	"dinkymail":         {"config", "cli", "cli/world"},
	"cli":               {"config", "doctor", "cli/world", "cli/sendmail", "cli/postfix", "cli/exim"},
	"doctor":            {"config"},
	"internal/bench":    {"internal/rig"},
	"internal/crash":    {"internal/rig"},
	"internal/interop":  {"internal/rig"},
	"internal/survival": {"internal/rig"},
}

// walls says who may import a library. Everybody else asks the package named here.
var walls = map[string][]string{
	"go.etcd.io/bbolt":                    {"queue/boltstore"},
	"github.com/go-chi/chi":               {"httpapi"},
	"github.com/rs/cors":                  {"httpapi"},
	"github.com/prometheus/client_golang": {"httpapi"},
	"github.com/joho/godotenv":            {"config"},
	"github.com/alecthomas/kong":          {"cli"},
	"github.com/emersion/go-smtp":         {"smtp", "internal/smtptest", "internal/bench"},
	"github.com/miekg/dns":                {"internal/dnstest"},
	"github.com/emersion/go-msgauth":      {"doctor"},
	"blitiri.com.ar/go/spf":               {"doctor"},
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// The house stands as docs/architecture.md draws it: every package is on the plan, and imports
// point down.
func TestFloorplan(t *testing.T) {
	for _, p := range packages(t) {
		name := ours(p.ImportPath)
		height, known := floorplan[top(name)]
		if !known {
			t.Errorf("%s is not on the floor plan; add it to floorplan_test.go", name)
			continue
		}
		for _, path := range p.Imports {
			if strings.HasPrefix(path, "dinkymail/") {
				checkImport(t, name, height, ours(path))
			}
			checkWall(t, name, path)
		}
	}
}

// Nobody reads the settings but the roof, in tests either: each package is tried with its own
// Config.
func TestNobodyImportsConfig(t *testing.T) {
	for _, p := range packages(t) {
		name := ours(p.ImportPath)
		if floorplan[top(name)] == roof {
			continue
		}
		for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if path == "dinkymail/config" {
				t.Errorf("%s imports config", name)
			}
		}
	}
}

func checkImport(t *testing.T, name string, height storey, other string) {
	t.Helper()
	below := floorplan[top(other)]
	switch {
	case below < height || slices.Contains(inside[top(name)], top(other)) || top(name) == top(other):
	case below == height:
		t.Errorf("%s imports %s, its neighbour", name, other)
	default:
		t.Errorf("%s imports %s, which stands above it", name, other)
	}
}

func checkWall(t *testing.T, name, path string) {
	t.Helper()
	for library, may := range walls {
		if (path == library || strings.HasPrefix(path, library+"/")) && !slices.Contains(may, top(name)) {
			t.Errorf("%s imports %s, which belongs to %s", name, library, strings.Join(may, " and "))
		}
	}
}

// top is the package's name on the plan: parts of bench, crash and interop stand where their parent
// does.
func top(name string) string {
	for _, parent := range []string{"internal/bench", "internal/crash", "internal/interop"} {
		if strings.HasPrefix(name, parent+"/") {
			return parent
		}
	}
	return name
}

func ours(path string) string {
	if path == "dinkymail" {
		return path
	}
	return strings.TrimPrefix(path, "dinkymail/")
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}
