package exim

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"dinkymail/control"
	"dinkymail/internal/stock"
	"dinkymail/operate"
	"dinkymail/queue"
)

// A shell started by a test calls this binary by the names of Exim's commands.
func TestMain(m *testing.M) {
	socket := os.Getenv(stock.SocketVariable)
	if socket == "" {
		os.Exit(m.Run())
	}
	w := World{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Client: func(context.Context) (operate.Operator, func(), error) {
		client := control.NewClient(socket)
		return client, client.Close, nil
	}}
	os.Exit(Run(context.Background(), filepath.Base(os.Args[0]), os.Args[1:], w))
}

// The ways people look for mail and remove it from a shell work as they stand.
func TestPipelines(t *testing.T) {
	s := stock.Open(t, queue.Config{})
	for id, from := range map[queue.ID]string{"0000000000000001": "ada@example.org", "0000000000000002": "",
		"0000000000000003": "ada@example.org",
		"0000000000000004": "bob@example.org", "0000000000000005": "eve@example.org", "0000000000000006": "bob@example.org"} {
		s.Put(id, stock.Letter("Hello", 3), from, "zoe@grey.example", "carol@grey.example")
	}
	for _, id := range []queue.ID{"0000000000000004", "0000000000000005"} {
		if err := s.Queue.Hold(id, ""); err != nil {
			t.Fatal(err)
		}
	}
	sh := s.Shell("exim", "exim4", "exiqgrep")
	for _, c := range []struct{ script, want string }{
		{`exim -bpc`, "6\n"},
		{`exim -bp | awk '/<ada@/ {print $3}'`, "0000000000000001\n0000000000000003\n"},
		{`exim -bp | grep -c '^ .*<'`, "6\n"},
		{`exim -bpr | grep frozen | wc -l | tr -d ' '`, "2\n"},
		{`exim -bpru | grep -c '  zoe@'`, "6\n"},
		{`exiqgrep -f '<>' -i | xargs exim -Mvh | sed -n 3p`, "<>\n"},
		{`exiqgrep -i -f ada@example.org | xargs exim -Mrm`,
			"Message 0000000000000001 has been removed\nMessage 0000000000000003 has been removed\n"},
		{`exiqgrep -z -i -f bob | xargs exim4 -Mt`, "Message 0000000000000004 is no longer frozen\n"},
		{`exim -bp | awk '$6 ~ "frozen" { print $3 }' | xargs exim -Mrm`, "Message 0000000000000005 has been removed\n"},
		{`exim -bp | grep '<>' | awk '{print $3}' | xargs -r exim -Mf`, "Message 0000000000000002 is now frozen\n"},
		{`exiqgrep -c -r zoe`, "3 matches out of 3 messages\n"},
		{`exiqgrep -i | xargs exim -Mrm | wc -l | tr -d ' '; exim -bpc; exim -bp`, "3\n0\n"},
	} {
		if got := sh(c.script); got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.script, got, c.want)
		}
	}
}
