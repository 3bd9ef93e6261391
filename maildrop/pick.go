package maildrop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dinkymail/internal/gate"
	"dinkymail/message"
	"dinkymail/queue"
)

// Bounds of what is picked up.
const (
	batch       = 256                // names read at a time
	maxEnvelope = queue.MaxNewRecord // bytes of the first line
	maxExtra    = 1 << 20            // bytes that a mail may be longer than MaxMessageBytes before it is not even opened
	forgotten   = 24 * time.Hour     // age of a file that nobody will finish writing
	keptAside   = 100                // files in rejected/
)

// errNoMail is what is wrong with a file that will never be a mail.
var errNoMail = errors.New("it is no mail that sendmail wrote")

// round picks up what is there.
func (d *Drop) round(ctx context.Context) {
	if cfg := d.fresh.Swap(nil); cfg != nil {
		cfg.Dir, cfg.Group = d.cfg.Dir, d.cfg.Group
		d.cfg = *cfg
		d.announce(d.full)
	}
	d.pass = pass{seen: map[string]bool{}, beyond: math.MaxInt64}
	if err := d.walk(ctx); err != nil && d.reason == nil {
		d.reason = err
	}
	d.said = d.seen
	switch {
	case ctx.Err() != nil:
		return
	case d.reason == nil:
		d.stopAt = ""
	case d.reason.Error() != d.stopAt:
		d.stopAt = d.reason.Error()
		d.log.Warn("mail waits in the maildrop", "dir", d.cfg.Dir, "err", d.reason)
	}
	d.measure()
}

// walk goes through the directory once. An error means that it cannot be read.
func (d *Drop) walk(ctx context.Context) error {
	dir, err := os.Open(filepath.Join(d.cfg.Dir, dropDir))
	if err != nil {
		return fmt.Errorf("look for mail: %w", err)
	}
	defer dir.Close()
	for ctx.Err() == nil {
		entries, err := dir.ReadDir(batch)
		slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		for _, e := range entries {
			d.take(ctx, e.Name())
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for mail: %w", err)
		}
	}
	return ctx.Err()
}

// take does what is to be done with one name.
func (d *Drop) take(ctx context.Context, name string) {
	path := filepath.Join(d.cfg.Dir, dropDir, name)
	info, err := os.Lstat(path)
	switch {
	case err != nil: // whoever put it there took it away again
	case !info.Mode().IsRegular():
		d.drop(path, info, errors.New("it is no plain file"))
	case strings.HasPrefix(name, "."):
		if time.Since(info.ModTime()) > forgotten {
			d.drop(path, info, errors.New("nobody finished writing it"))
		}
	case !queue.ID(name).Valid():
		d.drop(path, info, errNoMail)
	case d.closed || info.Size() >= d.beyond || ctx.Err() != nil:
		d.leave(info)
	default:
		d.accept(ctx, path, info)
	}
}

// accept hands one mail in, and says what becomes of it otherwise.
func (d *Drop) accept(ctx context.Context, path string, info fs.FileInfo) {
	err := d.submit(ctx, path, queue.ID(info.Name()))
	switch {
	case err == nil, errors.Is(err, queue.ErrExists):
		if err = os.Remove(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			return
		}
		d.say(path, fmt.Errorf("remove it, for it is accepted: %w", err))
	case final(err):
		d.drop(path, info, err)
		return
	case errors.Is(err, queue.ErrFull), errors.Is(err, queue.ErrNoSpace): // a smaller one may fit
		d.beyond = info.Size()
		d.wait(err)
	case later(err) || ctx.Err() != nil:
		d.closed = true
		d.wait(err)
	default:
		d.say(path, err)
	}
	d.leave(info)
}

// wait notes why mail stays.
func (d *Drop) wait(err error) {
	if d.reason == nil {
		d.reason = err
	}
}

// leave counts what stays.
func (d *Drop) leave(info fs.FileInfo) {
	d.left++
	d.bytes += info.Size()
}

// measure tells those who put mail down whether there is room for more.
func (d *Drop) measure() {
	full := ""
	if d.cfg.MaxMessages > 0 && d.left >= d.cfg.MaxMessages || d.cfg.MaxBytes > 0 && d.bytes >= d.cfg.MaxBytes {
		full = fmt.Sprintf("%d mails (%d bytes) wait in it, and SUBMIT_MAX_MESSAGES or SUBMIT_MAX_BYTES allows no more", d.left, d.bytes)
	}
	if (full == "") == (d.full == "") {
		return
	}
	if !d.announce(full) {
		return
	}
	if full != "" {
		d.log.Warn("the maildrop is full; sendmail takes no more", "dir", d.cfg.Dir, "waiting", d.left, "bytes", d.bytes)
	} else {
		d.log.Info("the maildrop has room again", "dir", d.cfg.Dir)
	}
}

// announce writes about.json, and reports whether it could.
func (d *Drop) announce(full string) bool {
	cfg := d.cfg
	cfg.About.Full = full
	if err := writeAbout(cfg); err != nil {
		d.log.Warn("the maildrop's limits cannot be told", "err", err)
		return false
	}
	d.full = full
	return true
}

// final reports whether a mail with this error will never be accepted.
func final(err error) bool {
	for _, e := range []error{errNoMail, queue.ErrTooLarge, queue.ErrTooManyRecipients, queue.ErrNoRecipients,
		message.ErrMalformed, message.ErrLoop} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// later reports whether no mail at all is accepted now.
func later(err error) bool {
	for _, e := range []error{queue.ErrBroken, queue.ErrClosed, queue.ErrPaused} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// submit hands in the mail at path.
func (d *Drop) submit(ctx context.Context, path string, id queue.ID) error {
	f, err := openPlain(path)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", errNoMail, err)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular() || links(info) != 1:
		return fmt.Errorf("%w: it has another name somewhere else", errNoMail)
	case info.Size() > d.cfg.About.MaxMessageBytes+maxExtra+maxEnvelope:
		return queue.ErrTooLarge
	}
	in := bufio.NewReaderSize(f, 64<<10)
	uid := owner(info)
	return d.hand(ctx, in, id, uid, d.user(uid))
}

// hand hands in what stands in a file of the user uid, who is called who.
func (d *Drop) hand(ctx context.Context, in *bufio.Reader, id queue.ID, uid uint32, who string) error {
	e, err := readEnvelope(in)
	if err != nil {
		return err
	}
	d.complete(&e)
	s := queue.Submission{
		ID: id, Envelope: e, Body: in,
		Trace:  message.Trace{User: who},
		Origin: queue.Origin{Door: "sendmail", Client: "unix:" + strconv.FormatUint(uint64(uid), 10), User: who},
	}
	if len(e.To) == 1 {
		s.Trace.For = e.To[0].Address
	}
	_, err = d.next.Submit(ctx, s)
	if errors.Is(err, queue.ErrNoMailbox) { // whoever handed it in is gone: better a bounce than nothing
		for i := range s.Envelope.To {
			if s.Envelope.To[i].Domain == "" {
				s.Envelope.To[i].Domain = d.cfg.About.Domain
			}
		}
		_, err = d.next.Submit(ctx, s)
	}
	return err
}

// complete gives a sender without a domain the one it is at.
func (d *Drop) complete(e *message.Envelope) {
	if !e.From.IsNull() && e.From.Domain == "" {
		e.From.Domain = "localhost"
		if machine, err := message.ParseDomain(d.cfg.Machine); err == nil {
			e.From.Domain = machine
		}
	}
}

// readEnvelope reads the first line.
func readEnvelope(in *bufio.Reader) (message.Envelope, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			e, err := message.UnmarshalEnvelope(line)
			if err != nil {
				err = fmt.Errorf("%w: %w", errNoMail, err)
			}
			return e, err
		case errors.Is(err, bufio.ErrBufferFull) && len(line) <= maxEnvelope:
		case errors.Is(err, io.EOF), errors.Is(err, bufio.ErrBufferFull):
			return message.Envelope{}, errNoMail
		default:
			return message.Envelope{}, err
		}
	}
}

// user is the name of a user of this machine, or the number of one without.
func (d *Drop) user(uid uint32) string {
	if name, known := d.users[uid]; known {
		return name
	}
	name := gate.UserName(int(uid))
	d.users[uid] = name
	return name
}

// drop takes away what is no mail: into rejected/ where it has something in it.
func (d *Drop) drop(path string, info fs.FileInfo, why error) {
	var aside string
	var err error
	if info.Mode().IsRegular() && info.Size() > 0 {
		aside = filepath.Join(d.cfg.Dir, rejectedDir, string(queue.NewID()))
		err = os.Rename(path, aside)
	} else {
		err = os.Remove(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		d.say(path, errors.Join(why, err))
	default:
		d.log.Warn("no mail, set aside", "file", path, "aside", aside, "user", d.user(owner(info)), "err", why)
		d.thin()
	}
}

// thin removes the oldest files of rejected/ beyond keptAside.
func (d *Drop) thin() {
	dir := filepath.Join(d.cfg.Dir, rejectedDir)
	entries, err := os.ReadDir(dir) // sorted, and the names begin with the time
	if err != nil {
		return
	}
	for _, e := range entries[:max(0, len(entries)-keptAside)] {
		_ = os.Remove(filepath.Join(dir, e.Name()))
	}
}

// say logs what stands in the way of one file, once.
func (d *Drop) say(path string, err error) {
	const most = 1000 // names remembered
	if !d.said[path] && len(d.seen) < most {
		d.log.Warn("cannot pick up", "file", path, "err", err)
	}
	if len(d.seen) < most {
		d.seen[path] = true
	}
}
