package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// maxFile bounds .env and the file of a secret.
const maxFile = 1 << 20

// value is what was found for one setting.
type value struct {
	setting Setting
	name    string // the name it was found under, an older one perhaps; the setting's own when it was not found
	text    string // empty: not set
	source  string
	quoted  bool // from the real environment, with quotes around it
}

// sources are the places settings come from.
type sources struct {
	env      map[string]string // the real environment
	file     map[string]entry  // .env
	path     string
	hasFile  bool
	warnings []string
}

// readSources reads .env. A missing file is no mistake; one that cannot be read is.
func readSources(environ []string, path string) (*sources, []error) {
	src := &sources{env: map[string]string{}, path: path}
	for _, kv := range environ {
		if name, text, ok := strings.Cut(kv, "="); ok {
			src.env[name] = text
		}
	}
	if path == "" {
		return src, nil
	}
	data, err := readLimited(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return src, nil
	}
	src.hasFile = true
	if err != nil {
		return src, []error{&Problem{Source: path, Reason: "cannot be read: " + reason(err),
			Remedy: "give the user that runs dinkymail the right to read it, or remove it"}}
	}
	d := readDotenv(data, path, src.env)
	src.file, src.warnings = d.entries, d.warnings
	return src, d.problems
}

// value finds a setting under its own name, its older names and its _FILE form. Found twice with
// different values is a mistake.
func (src *sources) value(st Setting) (value, []error) {
	var found []value
	for _, name := range append([]string{st.Name}, st.Aliases...) {
		if v, ok := src.lookup(name); ok {
			v.setting = st
			found = append(found, v)
		}
	}
	var errs []error
	if st.Secret {
		v, ok, err := src.secretFile(st, found)
		if err != nil {
			errs = append(errs, err)
		}
		if ok {
			return v, errs
		}
	}
	if len(found) == 0 {
		return value{setting: st, name: st.Name}, errs
	}
	for _, v := range found {
		if v.text != found[0].text {
			errs = append(errs, &Problem{Variable: v.name, Source: v.source,
				Reason: fmt.Sprintf("is another value than %s (%s) has, and both name the same setting", found[0].name,
					found[0].source),
				Remedy: "keep " + st.Name + " and remove the other"})
		}
		if v.name != st.Name {
			src.warnings = append(src.warnings,
				fmt.Sprintf("%s (%s) is the old name of %s; it still works, please rename it.", v.name, v.source, st.Name))
		}
	}
	return found[0], errs
}

// lookup finds one name: the real environment first. Empty is unset.
func (src *sources) lookup(name string) (value, bool) {
	if text := src.env[name]; text != "" {
		q := len(text) > 1 && (text[0] == '\'' || text[0] == '"') && text[len(text)-1] == text[0]
		return value{name: name, text: text, source: "environment", quoted: q}, true
	}
	if e, ok := src.file[name]; ok && e.value != "" {
		return value{name: name, text: e.value, source: e.source}, true
	}
	return value{}, false
}

// secretFile reads the file that NAME_FILE names. The newline at its end is not part of the secret.
func (src *sources) secretFile(st Setting, found []value) (value, bool, error) {
	f, ok := src.lookup(st.Name + "_FILE")
	if !ok {
		return value{}, false, nil
	}
	p := &Problem{Variable: f.name, Value: f.text, Source: f.source}
	if len(found) > 0 {
		p.Reason = fmt.Sprintf("is set together with %s (%s)", found[0].name, found[0].source)
		p.Remedy = "keep one of the two"
		return value{}, false, p
	}
	data, err := readLimited(f.text)
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case err != nil:
		p.Reason = "the file cannot be read: " + reason(err)
		p.Remedy = "correct the path, or give the user that runs dinkymail the right to read the file"
		return value{}, false, p
	case text == "":
		p.Reason, p.Remedy = "the file is empty", "write the secret into it, or unset "+f.name
		return value{}, false, p
	}
	return value{setting: st, name: st.Name, text: text, source: "file " + f.text + ", named by " + f.name + " (" + f.source +
		")"}, true, nil
}

// anySet reports whether one of our settings is set anywhere, whatever its value.
func (src *sources) anySet(groups []Group) bool {
	for _, g := range groups {
		for _, st := range g.Settings {
			for _, name := range st.names() {
				if _, ok := src.lookup(name); ok {
					return true
				}
			}
		}
	}
	return false
}

// set reports whether a setting is given under its own name.
func (src *sources) set(name string) bool {
	_, ok := src.lookup(name)
	return ok
}

// names are all names a setting may be given under.
func (st Setting) names() []string {
	names := append([]string{st.Name}, st.Aliases...)
	if st.Secret {
		names = append(names, st.Name+"_FILE")
	}
	return names
}

// warnSources adds what was noticed while reading, and which values of the real environment carry
// quotes: docker run --env-file passes them on.
func (s *Settings) warnSources(src *sources, read []value) {
	s.Warnings = append(s.Warnings, src.warnings...)
	for _, v := range read {
		if v.quoted && v.source == "environment" {
			s.Warnings = append(s.Warnings, v.name+" (environment) begins and ends with a quote, and both are part of the value: "+
				"docker run --env-file keeps them. Remove them if you did not mean them.")
		}
	}
	for _, v := range read {
		if e, ok := src.file[v.name]; ok && v.source == "environment" && e.value != "" && e.value != v.text {
			s.Warnings = append(s.Warnings, v.name+" ("+e.source+") is not used: the environment has another value, and wins.")
		}
	}
	if info, err := os.Stat(src.path); err == nil && src.hasFile && info.Mode()&0o004 != 0 && slices.ContainsFunc(read,
		src.secretInFile) {
		s.Warnings = append(s.Warnings, src.path+" holds a secret, and everybody on this machine can read it. Run: chmod 600 "+src.path)
	}
	slices.Sort(s.Warnings)
	s.Warnings = slices.Compact(s.Warnings)
}

// secretInFile reports whether a value is a secret out of .env itself.
func (src *sources) secretInFile(v value) bool {
	return v.setting.Secret && v.text != "" && src.file[v.name].value == v.text
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = errors.New("it is larger than 1 MiB")
	}
	return data, err
}

// reason is what the operating system said, without the path, which the message has already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
