package postfix

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dinkymail/cli/world"
	"dinkymail/control"
	"dinkymail/internal/stock"
	"dinkymail/operate"
	"dinkymail/queue"
)

// A shell started by a test calls this binary by the names of Postfix's commands.
func TestMain(m *testing.M) {
	socket := os.Getenv(stock.SocketVariable)
	if socket == "" {
		os.Exit(m.Run())
	}
	w := world.World{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Open: func(context.Context) (operate.Operator, func(), error) {
		client := control.NewClient(socket)
		return client, client.Close, nil
	}}
	os.Exit(Run(context.Background(), filepath.Base(os.Args[0]), os.Args[1:], w))
}

// tried has six messages, of which those to grey.example were tried once and the others are not
// tried at all.
func tried(t *testing.T) *stock.Stock {
	t.Helper()
	s := stock.Open(t, queue.Config{Retry: []time.Duration{time.Hour}})
	for id, to := range map[queue.ID]string{
		"0000000000000001": "bob@grey.example", "0000000000000002": "zoe@grey.example", "0000000000000003": "user@grey.example",
		"0000000000000004": "zoe@grey.example carol@grey.example", "0000000000000005": "eve@grey.example",
		"0000000000000006": "dave@grey.example",
	} {
		from := "ada@example.org"
		if id == "0000000000000002" {
			from = ""
		}
		s.Put(id, stock.Letter("Hello", 3), from, strings.Fields(to)...)
	}
	if err := s.Queue.Hold("0000000000000005", ""); err != nil {
		t.Fatal(err)
	}
	s.Start()
	every := time.NewTicker(10 * time.Millisecond)
	defer every.Stop()
	for range every.C {
		page, err := s.Client.List(t.Context(), queue.Selection{States: []queue.State{queue.StateDeferred}}, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Messages) == 5 {
			break
		}
	}
	return s
}

// The ways people delete, count and look into Postfix's queue from a shell work as they stand.
func TestPipelines(t *testing.T) {
	sh := tried(t).Shell("mailq", "postqueue", "postsuper", "postcat")
	for _, c := range []struct{ script, want string }{
		{`mailq | tail -1`, "-- 2 Kbytes in 6 Requests.\n"},
		{`mailq | grep -c '^[0-9A-Za-z]'`, "6\n"},
		{`mailq | awk '/^[0-9A-Z]+!/ {print $1}'`, "0000000000000005!\n"},
		{`postqueue -p | grep -c Greylisted`, "5\n"},
		{`postqueue -j | grep -c '"queue_name": "deferred"'`, "5\n"},
		{`postcat -q $(postqueue -p | grep MAILER-DAEMON | awk '{print $1}') | grep -i ^subject`, "Subject: Hello\n"},
		{`mailq | awk '/^[0-9]/ {print $1}' | tr -d '*!' | xargs -n 3 echo`,
			"0000000000000001 0000000000000002 0000000000000003\n0000000000000004 0000000000000005 0000000000000006\n"},
		{`postqueue -p | grep MAILER-DAEMON | awk '{print $1}' | tr -d '*!' | postsuper -d -`,
			"postsuper: 0000000000000002: removed\npostsuper: Deleted: 1 message\n"},
		{`mailq | tail -n +2 | awk 'BEGIN {RS=""} /dave@grey.example/ {print $1}' | tr -d '*!' | postsuper -d -`,
			"postsuper: 0000000000000006: removed\npostsuper: Deleted: 1 message\n"},
		{`mailq | tail -n +2 | grep -v '^ *(' | awk 'BEGIN { RS = "" } { if ($8 == "user@grey.example" && $9 == "") print $1 }' | ` +
			`tr -d '*!' | postsuper -d -`, "postsuper: 0000000000000003: removed\npostsuper: Deleted: 1 message\n"},
		{`mailq | grep '!' | awk '{print $1}' | postsuper -H -`,
			"postsuper: 0000000000000005: released from hold\npostsuper: Released from hold: 1 message\n"},
		{`postqueue -p | awk '/^[0-9]/ {print $1}' | head -1 | xargs -n 1 postsuper -h`,
			"postsuper: 0000000000000001: placed on hold\npostsuper: Placed on hold: 1 message\n"},
		{`postsuper -d ALL hold; postsuper -d ALL; mailq`,
			"postsuper: Deleted: 1 message\npostsuper: Deleted: 2 messages\nMail queue is empty\n"},
	} {
		if got := sh(c.script); got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.script, got, c.want)
		}
	}
}
