package sendmail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"time"

	"dinkymail/cli/world"
	"dinkymail/config"
	"dinkymail/control"
	"dinkymail/maildrop"
	"dinkymail/message"
	"dinkymail/operate"
	"dinkymail/queue"
)

// answerTime is how long the appliance may take to bring a mail to its disk before the mail goes
// into the maildrop instead.
const answerTime = 2 * time.Minute

// place is where an appliance may be.
type place struct {
	dir     string // SUBMIT_DIR
	control string // the control socket; empty where it is not known
}

// places are all places where this user's appliance may be, the likeliest first.
func (w program) places() []place {
	if dir := w.Getenv("DINKYMAIL_SUBMIT_DIR"); dir != "" {
		return []place{{dir: dir}}
	}
	var all []place
	if w.Settings != nil {
		// A relative directory counts from wherever this program happens to be called, where
		// anybody may have made one.
		if s, err := w.Settings(); err == nil && !s.Unconfigured && filepath.IsAbs(s.Maildrop.Dir) && filepath.IsAbs(s.DataDir) {
			all = append(all, place{s.Maildrop.Dir, filepath.Join(s.DataDir, control.Socket)})
		}
	}
	for _, dir := range append(world.Beside("data"), config.SystemDataDir) {
		p := place{filepath.Join(dir, "submit"), filepath.Join(dir, control.Socket)}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// about is what the first appliance that can be found says of itself.
func about(places []place) maildrop.About {
	for _, p := range places {
		if a, err := maildrop.ReadAbout(p.dir); err == nil {
			return a
		}
	}
	return maildrop.About{}
}

// handIn gives a mail to the appliance, or leaves it in the maildrop. The ID is the same in every
// try, so that the mail is accepted once. kept says where it is.
func handIn(ctx context.Context, places []place, e message.Envelope, l *letter) (id queue.ID, kept string, err error) {
	id = queue.NewID()
	denied := ""
	for _, p := range places {
		for _, path := range []string{maildrop.Socket(p.dir), p.control} {
			answered, err := ask(ctx, path, id, e, l)
			switch {
			case answered:
				return id, "queued as " + string(id), err
			case errors.Is(err, fs.ErrPermission) && denied == "":
				denied = p.dir
			}
		}
	}
	var last error
	for _, p := range places {
		err := maildrop.Put(p.dir, id, e, l.reader())
		switch {
		case err == nil:
			return id, "left in " + p.dir + " as " + string(id) + ", to be picked up", nil
		case errors.Is(err, fs.ErrPermission) && denied == "":
			denied = p.dir
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
			last = err
		}
	}
	return id, "", refusal(places, denied, last)
}

// refusal is why there was no way for the mail.
func refusal(places []place, denied string, last error) error {
	switch {
	case last != nil:
		return world.Failf(world.ExitTempFail, "the appliance takes no mail now, and it could not be kept for later: %w", last)
	case denied != "":
		return world.Failf(world.ExitNoPermission, "you may not hand in mail: %s", whoMay(denied))
	default:
		return world.Failf(world.ExitTempFail, "there is no appliance and no maildrop at %s; DINKYMAIL_SUBMIT_DIR may say where it is", places[0].dir)
	}
}

// whoMay says to whom the directory where mail is handed in is open, and what to do about it.
func whoMay(dir string) string {
	group := ""
	if info, err := os.Stat(dir); err == nil && info.Mode()&0o010 != 0 {
		group = groupOf(info)
	}
	if group == "" {
		return dir + " is open to the appliance's user and root alone, unless SUBMIT_GROUP is set and you are in that group"
	}
	you := "YOU"
	if u, err := user.Current(); err == nil {
		you = u.Username
	}
	return dir + " is open to the group " + group + " alone; root can let you in with: usermod -aG " + group + " " + you
}

// ask hands a mail in over a socket. It is not answered when nobody is there, or somebody who takes
// no mail for the time being, so that the maildrop is next.
func ask(ctx context.Context, path string, id queue.ID, e message.Envelope, l *letter) (answered bool, err error) {
	if path == "" {
		return false, nil
	}
	if _, err := os.Lstat(path); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	client := control.NewClient(path)
	defer client.Close()
	_, err = client.Submit(ctx, operate.Mail{ID: id, Envelope: e, Body: l.reader()})
	said, ok := errors.AsType[*operate.Error](err)
	if !ok {
		return err == nil, err
	}
	switch said.Code {
	case operate.CodeFull:
		return true, world.Failf(world.ExitTempFail, "%w", err)
	case operate.CodeAddress:
		return true, world.Failf(world.ExitNoUser, "%w", err)
	case operate.CodePaused, operate.CodeBusy, operate.CodeUnavailable, operate.CodeInternal, operate.CodeRate, "":
		return false, err
	default:
		return true, world.Failf(world.ExitUnavailable, "%w", err)
	}
}

// deadLetter appends a mail that nobody took to a file in the user's home directory.
func deadLetter(home string, e message.Envelope, l *letter) (path string, err error) {
	if home == "" {
		return "", errors.New("there is no home directory")
	}
	path = filepath.Join(home, "dead.letter")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return path, err
	}
	from := cmp.Or(e.From.String(), "MAILER-DAEMON")
	_, err = fmt.Fprintf(f, "From %s %s\n", from, time.Now().UTC().Format(time.ANSIC))
	if err == nil {
		_, err = io.Copy(&mbox{to: f, lineStart: true}, l.reader())
	}
	if err == nil {
		_, err = io.WriteString(f, "\n")
	}
	return path, errors.Join(err, f.Sync(), f.Close())
}
