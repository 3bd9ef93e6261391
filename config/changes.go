package config

import "dinkymail/operate"

// Changes lists what differs in fresh, in the order of the documents. A secret counts as changed
// when it is another one, and so does a setting that names a certificate when its file has another
// content.
func (s *Settings) Changes(fresh *Settings) []operate.SettingChange {
	all := []operate.SettingChange{}
	for i, now := range fresh.rows {
		was := s.rows[i]
		if now.exact != was.exact || now.Value != was.Value {
			all = append(all, operate.SettingChange{Name: now.Name, Running: was.Value, File: now.Value, Source: now.Source, Restart: now.restart})
		}
	}
	return all
}

// Follow makes s the settings of an appliance that goes on running and had those of old: what takes
// a restart stays as it was.
func (s *Settings) Follow(old *Settings) {
	for i := range s.rows {
		if s.rows[i].restart {
			s.rows[i] = old.rows[i]
		}
	}
	s.Development, s.Unconfigured = old.Development, old.Unconfigured
	s.SMTPListen, s.SMTPSListen, s.HTTPListen, s.SMTPListenGiven = old.SMTPListen, old.SMTPSListen, old.HTTPListen, old.SMTPListenGiven
	s.DataDir, s.LogFormat, s.LogKeep = old.DataDir, old.LogFormat, old.LogKeep
	s.Maildrop.Dir, s.Maildrop.Group = old.Maildrop.Dir, old.Maildrop.Group
	s.Queue.Capture, s.HTTP.Development = old.Queue.Capture, old.HTTP.Development
	if s.Certificate != nil && old.Certificate != nil {
		old.Certificate.Use(s.Certificate) // connections that began with the old settings show the new one, too
	}
}
